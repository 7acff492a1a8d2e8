module github.com/mayfly-tls/mayfly/bench

go 1.26.0

require (
	github.com/flynn/noise v1.1.0
	github.com/mayfly-tls/mayfly v0.0.0
	golang.org/x/crypto v0.58.0
)

require (
	github.com/cloudflare/circl v1.6.5 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace github.com/mayfly-tls/mayfly => ../
