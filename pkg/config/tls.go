package config

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"os"
)

// Set reports whether any of it is configured.
func (t TLS) Set() bool { return t.Cert != "" || t.Key != "" || t.CA != "" }

// Client is the configuration to dial others with; nil when nothing is configured: then URLs say what is used.
func (t TLS) Client() (*tls.Config, error) {
	if !t.Set() {
		return nil, nil
	}
	pool, err := t.pool()
	if err != nil {
		return nil, err
	}
	c := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: pool}
	if t.Cert != "" {
		pair, err := t.pair()
		if err != nil {
			return nil, err
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// Server is the configuration to listen with: whoever connects must show a certificate of the same authority. Nil when nothing is configured.
func (t TLS) Server() (*tls.Config, error) {
	if !t.Set() {
		return nil, nil
	}
	pool, err := t.pool()
	if err != nil {
		return nil, err
	}
	pair, err := t.pair()
	if err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, ClientCAs: pool, RootCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, Certificates: []tls.Certificate{pair}}, nil
}

// Fingerprint is the SHA-256 of the certificate, in hexadecimal; empty without one.
func (t TLS) Fingerprint() (string, error) {
	if t.Cert == "" {
		return "", nil
	}
	pair, err := t.pair()
	if err != nil {
		return "", err
	}
	h := sha256.Sum256(pair.Certificate[0])
	return hex.EncodeToString(h[:]), nil
}

func (t TLS) pair() (tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(t.Cert, string(t.Key))
	if err != nil {
		return pair, fmt.Errorf("read certificate %s and its key: %w", t.Cert, err)
	}
	return pair, nil
}

func (t TLS) pool() (*x509.CertPool, error) {
	if t.CA == "" {
		return nil, fmt.Errorf("certificate %s has no ca beside it: want the file of the authority that vouches for the others", t.Cert)
	}
	b, err := os.ReadFile(t.CA)
	if err != nil {
		return nil, fmt.Errorf("read ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("ca %s holds no certificate: want PEM", t.CA)
	}
	return pool, nil
}
