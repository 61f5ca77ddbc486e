// Package rest talks to the REST API of an Apache Airflow: version 3 (/api/v2, a token from /auth/token) and 2.x (/api/v1, basic authentication), whichever it finds.
//
// It carries one request out and says what came of it. It retries nothing but a request whose token had run out, follows no redirect, decides nothing, and keeps nothing but that token.
//
// Where the two versions differ the caller sees version 3's words. What 2.x does not offer is ErrNotOffered. The shapes of 3 were tried on 3.3.2; those of 2.x are read from the
// API description of 2.11 alone.
package rest
