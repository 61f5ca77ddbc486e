package stage

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// authority is a throw-away CA; its key is never written down.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// identity is a certificate with its key and the CA that vouches for the other side, as files.
type identity struct{ Cert, Key, CA string }

// makeAuthority writes ca.crt into a new directory.
func makeAuthority(dir string) (*authority, error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make CA: %w", err)
	}
	a := &authority{dir: dir}
	t := unsigned("stage CA")
	t.IsCA, t.BasicConstraintsValid, t.KeyUsage = true, true, x509.KeyUsageCertSign|x509.KeyUsageDigitalSignature
	der, key, err := sign(t, t, nil)
	if err == nil {
		a.key = key
		a.cert, err = x509.ParseCertificate(der)
	}
	if err == nil {
		err = writePEM(a.ca(), "CERTIFICATE", der)
	}
	if err != nil {
		return nil, fmt.Errorf("make CA: %w", err)
	}
	return a, nil
}

func (a *authority) ca() string { return filepath.Join(a.dir, "ca.crt") }

// issue makes the certificate of one process, good as a server's at the address and as a client's.
func (a *authority) issue(name, address string) (identity, error) {
	t := unsigned(name)
	t.KeyUsage, t.IPAddresses, t.DNSNames = x509.KeyUsageDigitalSignature, []net.IP{net.ParseIP(address)}, []string{name}
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	id := identity{filepath.Join(a.dir, name+".crt"), filepath.Join(a.dir, name+".key"), a.ca()}
	der, key, err := sign(t, a.cert, a.key)
	if err != nil {
		return id, fmt.Errorf("issue certificate of %s: %w", name, err)
	}
	secret, err := x509.MarshalECPrivateKey(key)
	return id, errors.Join(err, writePEM(id.Cert, "CERTIFICATE", der), writePEM(id.Key, "EC PRIVATE KEY", secret))
}

func unsigned(name string) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62)) // crypto/rand never fails
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
}

// sign makes a key pair for a template; no parent key = it signs itself.
func sign(t, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) ([]byte, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	if parentKey == nil {
		parentKey = key
	}
	der, err := x509.CreateCertificate(rand.Reader, t, parent, &key.PublicKey, parentKey)
	return der, key, err
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
