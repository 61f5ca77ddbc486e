package api

import "net/http"

// streamRoute is the route of the stream of events.
const streamRoute = "/events"

func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	WriteProblem(w, r, kindNotFound.of("not yet"))
}
