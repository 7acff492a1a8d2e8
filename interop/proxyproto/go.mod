module github.com/mayfly-tls/mayfly/interop/proxyproto

go 1.26.4

require (
	github.com/mayfly-tls/mayfly v0.0.0
	github.com/pires/go-proxyproto v0.15.0
)

require (
	github.com/cloudflare/circl v1.6.5 // indirect
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace github.com/mayfly-tls/mayfly => ../../
