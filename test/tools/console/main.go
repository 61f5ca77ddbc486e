// Command console serves the console of a fleet that is made up, in every state a page can show, to be looked at in a browser: no server runs and nothing is moved.
package main

import (
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/switchback-dr/switchback/controller/console/consoletest"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8700", "host:port to serve on")
	groups := flag.Int("groups", 10_000, "groups besides those that are in every state")
	flag.Parse()
	fmt.Printf("http://%s/console/  token: %s, or %s\n", *listen, consoletest.Operator, consoletest.Viewer)
	s := &http.Server{Addr: *listen, Handler: consoletest.Console(consoletest.New(time.Now().UTC(), *groups), time.Now, slog.Default()), ReadHeaderTimeout: 5 * time.Second}
	if err := s.ListenAndServe(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
