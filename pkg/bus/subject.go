package bus

import "strings"

// Match reports whether a subject is taken by a pattern, as NATS does it: "*" is one token, a last ">" is one or more.
func Match(pattern, subject string) bool {
	for {
		p, pRest, pMore := strings.Cut(pattern, ".")
		s, sRest, sMore := strings.Cut(subject, ".")
		switch {
		case p == ">" && !pMore:
			return true
		case p != "*" && p != s:
			return false
		case !pMore || !sMore:
			return pMore == sMore
		}
		pattern, subject = pRest, sRest
	}
}

// overlap reports whether some subject is taken by both patterns. One stream per subject is a rule of the server.
func overlap(a, b string) bool {
	for {
		x, aRest, aMore := strings.Cut(a, ".")
		y, bRest, bMore := strings.Cut(b, ".")
		switch {
		case x == ">" || y == ">":
			return true
		case x != "*" && y != "*" && x != y:
			return false
		case !aMore || !bMore:
			return aMore == bMore
		}
		a, b = aRest, bRest
	}
}

// republished is the subject on which a stored message is told again, "" for none. Only the shape "prefix>" to "prefix>" exists here.
func republished(from, to, subject string) string {
	if from == "" || !Match(from, subject) {
		return ""
	}
	return strings.TrimSuffix(to, ">") + strings.TrimPrefix(subject, strings.TrimSuffix(from, ">"))
}
