package auth

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/switchback-dr/switchback/pkg/telemetry"
)

// Pair is a certificate and its key, read again when a newer one is put in their place: certificates are renewed without a restart.
type Pair struct {
	cert, key string
	log       *slog.Logger

	mu     sync.Mutex
	pair   *tls.Certificate
	seen   [2]stamp
	looked time.Time
}

// OpenPair reads them.
func OpenPair(cert, key string, log *slog.Logger) (*Pair, error) {
	p := &Pair{cert: cert, key: key, log: log}
	if err := p.load(); err != nil {
		return nil, err
	}
	return p, nil
}

// Get is tls.Config.GetCertificate. It looks at the files at most once a second; a pair that can't be read leaves the one before.
func (p *Pair) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); now.Sub(p.looked) >= lookEvery {
		p.looked = now
		if [2]stamp{stampOf(p.cert), stampOf(p.key)} != p.seen {
			if err := p.load(); err != nil {
				p.log.Error("the certificate stays as it was", telemetry.Err(err))
			}
		}
	}
	return p.pair, nil
}

func (p *Pair) load() error {
	p.seen = [2]stamp{stampOf(p.cert), stampOf(p.key)}
	pair, err := tls.LoadX509KeyPair(p.cert, p.key)
	if err != nil {
		return fmt.Errorf("read certificate %s and its key: %w", p.cert, err)
	}
	p.pair = &pair
	return nil
}
