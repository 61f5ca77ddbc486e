package astro

import (
	"net/http"

	"github.com/switchback-dr/switchback/controller/api"
)

// Mount answers below /platform/ of a server, for who has a token.
func Mount(s *api.Server) {
	s.Mount("/platform/", New(api.CallerOf), func(w http.ResponseWriter, _ *http.Request, p *api.Problem) { WriteError(w, p.Status, p.Detail) })
}
