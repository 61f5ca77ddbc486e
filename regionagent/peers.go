package regionagent

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/telemetry"
	"github.com/switchback-dr/switchback/regionagent/lease"
)

// promiseRequest is what an active's agent asks a candidate's, directly over TLS (G1).
type promiseRequest struct {
	Cluster events.Ref   `json:"cluster"` // of the asked one
	Group   string       `json:"group"`
	Epoch   events.Epoch `json:"epoch"`
}

// maxRequest bounds what a peer may send.
const maxRequest = 4096

// servePeers answers requests for promises. A completed handshake is also what a look from elsewhere sees.
func (a *agent) servePeers(ctx context.Context, l net.Listener) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /promise", func(w http.ResponseWriter, r *http.Request) {
		var q promiseRequest
		dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&q); err != nil {
			http.Error(w, "want {cluster, group, epoch}: "+err.Error(), http.StatusBadRequest)
			return
		}
		g, err := a.asked(r.Context(), q)
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(g); err != nil {
			a.log.Debug("answer a peer", telemetry.Err(err))
		}
	})
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 2 * time.Second, IdleTimeout: time.Minute, ErrorLog: telemetry.Quiet()}
	go func() {
		<-ctx.Done()
		_ = s.Close() // ends Serve
	}()
	if err := s.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
		a.log.Error("peer listener stopped", telemetry.Err(err))
	}
}

// asked puts a peer's request through the loop: what it changes is on disk before the answer leaves (G2).
func (a *agent) asked(ctx context.Context, q promiseRequest) (lease.Grant, error) {
	reply := make(chan lease.Grant, 1)
	a.post(ctx, func(now events.Instant) lease.Effects {
		g, eff := a.core.Asked(now, q.Cluster, q.Group, q.Epoch)
		a.after = append(a.after, func() { reply <- g })
		return eff
	})
	select {
	case g := <-reply:
		return g, nil
	case <-ctx.Done():
		return lease.Grant{}, ctx.Err()
	}
}

// askPeer asks one candidate's agent for a promise and hands the answer to the core. No answer is no promise.
func (a *agent) askPeer(ctx context.Context, q lease.Ask) {
	short, cancel := context.WithTimeout(ctx, a.d.BeatDeadline())
	defer cancel()
	g, err := a.promise(short, q)
	a.metrics.promise(err == nil && g.Yes)
	if err != nil {
		a.log.Debug("no promise", "of", q.To.Cluster.String(), telemetry.Err(err))
		return
	}
	a.post(ctx, func(now events.Instant) lease.Effects { return a.core.Granted(now, q, g) })
}

func (a *agent) promise(ctx context.Context, q lease.Ask) (lease.Grant, error) {
	var g lease.Grant
	if a.peerClient == nil {
		return g, errors.New("this agent has no certificate to ask with")
	}
	body, err := json.Marshal(promiseRequest{q.To.Cluster, q.Group, q.Epoch})
	if err != nil {
		return g, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+q.To.Peer+"/promise", bytes.NewReader(body))
	if err != nil {
		return g, err
	}
	res, err := a.peerClient.Do(req)
	if err != nil {
		return g, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(io.LimitReader(res.Body, 200)) // for the message only
		return g, fmt.Errorf("peer answered %s: %s", res.Status, b)
	}
	if h := sha256.Sum256(res.TLS.PeerCertificates[0].Raw); q.To.Cert != "" && hex.EncodeToString(h[:]) != q.To.Cert {
		return g, errors.New("another certificate answers there than the candidate's")
	}
	return g, json.NewDecoder(io.LimitReader(res.Body, maxRequest)).Decode(&g)
}

// newPeerClient keeps connections warm: a promise is needed within 2h of the bus falling silent.
func (a *agent) newPeerClient() *http.Client {
	if a.dialConf == nil {
		return nil
	}
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: a.dialConf, MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: time.Second, ForceAttemptHTTP2: false,
	}}
}
