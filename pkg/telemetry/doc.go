// Package telemetry is what every process says of itself: structured logs with fixed keys, Prometheus metrics in which every series has the
// label cloud_region, and an HTTP server for /metrics and /healthz.
package telemetry
