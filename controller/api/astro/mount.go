package astro

import (
	"net/http"

	"github.com/switchback-dr/switchback/controller/api"
)

// Mount answers below /platform/ of a server, for who has a token.
func Mount(s *api.Server) {
	h := New(func(r *http.Request) Caller {
		a := api.From(r)
		return Caller{Fleet: a, Door: a, Actor: a.Who.Actor, Sees: a.Who.Sees, MayAsk: a.Who.MayAsk}
	})
	s.Mount("/platform/", h, func(w http.ResponseWriter, _ *http.Request, p *api.Problem) { WriteError(w, p.Status, p.Detail) })
}
