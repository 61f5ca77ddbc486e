package bus

import "time"

// retryWait is how long a refused message of a consumer rests before it is handed over again, and a broken consumer before it is set up anew.
const retryWait = 50 * time.Millisecond

// Door serves requests: what a person, a script or another service asks for and waits to be answered. Both buses have it.
type Door interface {
	// Serve answers every request on pattern with what f returns, until stop is called. With several servers of one pattern each request reaches
	// one of them. f may be called for several requests at once, up to 64.
	Serve(s Service, pattern string, f func(Message) []byte) (stop func(), err error)
}

// Service is how a door presents itself to `nats micro`.
type Service struct {
	Name        string // of a-z, A-Z, 0-9, - and _
	Version     string // semantic version
	Description string
}
