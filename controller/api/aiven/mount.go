package aiven

import (
	"net/http"

	"github.com/switchback-dr/switchback/controller/api"
)

// Mount answers below /v1/ of a server, for who has a token.
func Mount(s *api.Server) {
	s.Mount("/v1/", New(api.CallerOf), func(w http.ResponseWriter, _ *http.Request, p *api.Problem) { WriteError(w, p.Status, p.Detail) })
}
