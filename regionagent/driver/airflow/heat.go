package airflow

import (
	"context"
	"net/http"
	"strings"
	"time"
)

const (
	// heatLimit is how long an api-server may take for the first such call: it takes four seconds of one core, and a minute on a busy host.
	heatLimit = 2 * time.Minute
	heatEvery = 2 * time.Second
)

// heat asks an api-server that was begun for what every task asks of it first. It makes its routes for tasks with the first such request, which every other one waits for meanwhile: after a
// failover that would be every task. An Airflow 2 has none, and says so at once.
func (b *body) heat(ctx context.Context) {
	if b.cfg.API.URL == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 2*heatLimit)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: heatLimit}
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(b.cfg.API.URL, "/")+"/execution/health", nil)
		if err != nil {
			return
		}
		if resp, err := client.Do(r); err == nil {
			resp.Body.Close()
			if resp.StatusCode < http.StatusInternalServerError {
				b.log.Debug("its api-server is ready for tasks", "status", resp.StatusCode)
				return
			}
		}
		if pause(ctx, heatEvery) != nil {
			return
		}
	}
}
