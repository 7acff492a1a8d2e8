# make wraps the commands; none of them needs make.

GO      ?= go
# The newest Go that is tested beside $(GO).
GO127   ?= go1.27.3
FUZZTIME ?= 30s
SOAKTIME ?= 5m

# The library, and the tool: ./... ends where another module begins.
ALL = ./... ./cmd/mayfly/...

# The packages whose coverage is held to at least 85 %.
CORE = ./record ./transcript ./handshake ./internal/... ./cmd/mayfly/internal/...

# The linters are no part of the workspace. This prints the path of one.
LINTER = GOWORK=off $(GO) tool -modfile=tools/go.mod -n

# The modules beside these two, which need what they do not.
MODULES = bench vectors interop/proxyproto contrib/grpc contrib/metrics contrib/pgx contrib/redis

.PHONY: all demo man test race memscan memscan-long newest secret interop check lint vuln cover bench fuzz soak peers modules bogo

all: check

demo: # the main job, in one minute
	$(GO) run ./cmd/mayfly demo

man: # manual pages of the tool, in man/
	$(GO) run -tags man ./cmd/mayfly man man

test: # everything that needs no other program; interop with what is found
	$(GO) test $(ALL)
	for module in $(MODULES); do (cd $$module && $(GO) test ./...) || exit; done

race:
	$(GO) test -race -shuffle=on $(ALL)

newest: # the tests with the newest Go
	GOTOOLCHAIN=$(GO127) $(GO) test $(ALL)

secret: # the build whose runtime erases what functions on secrets leave behind
	GOEXPERIMENT=runtimesecret $(GO) test $(ALL)

memscan: # what is left of secrets in a process's memory, in both builds
	$(GO) test -count=1 -v -run "^TestMemory" ./internal/memscan ./message
	GOEXPERIMENT=runtimesecret $(GO) test -count=1 -v -run "^TestMemory" ./internal/memscan ./message

RUNS ?= 30

memscan-long: # every situation RUNS times, in each build, of each Go version, quiet and loaded
	for version in local $(GO127); do for experiment in "" runtimesecret; do for load in "" -loaded; do \
		GOTOOLCHAIN=$$version GOEXPERIMENT=$$experiment $(GO) test -count=1 -v -timeout 0 -run "^TestSituations$$" ./internal/memscan -runs $(RUNS) $$load || exit; \
	done; done; done

interop: # the matrix, and messages; a peer that is missing is a failure
	MAYFLY_REQUIRE_PEERS=1 $(GO) test -count=1 -v ./interop
	MAYFLY_REQUIRE_PEERS=1 $(GO) test -count=1 -v -run "OpenSSL|BouncyCastle|GPGSM|TestAge" ./message ./cmd/mayfly

lint:
	test -z "$$(gofmt -l .)"
	./.ci/modules
	"$$($(LINTER) staticcheck)" $(ALL)

vuln:
	"$$($(LINTER) govulncheck)" $(ALL)

cover:
	./.ci/cover $(CORE)

bench: # side by side with crypto/tls and flynn/noise: a table of ratios
	cd bench && $(GO) run . -svg ../testdata/bench.svg

fuzz:
	./.ci/fuzz $(FUZZTIME)

soak: # random lives, faults, strangers, ten thousand connections and 10^5 resumptions, with the race detector and without
	$(GO) test -count=1 -v -timeout 0 -run "^TestManyResumptions$$" . -resumptions 100000
	$(GO) test -count=1 -v -timeout 0 -run "^Test(Soak|Faults|Strangers|ManyConnections)$$" ./fuzz -soak $(SOAKTIME) -places 500 -connections 10000
	$(GO) test -race -count=1 -v -timeout 0 -run "^Test(Soak|Faults|Strangers|ManyConnections)$$" ./fuzz -soak $(SOAKTIME) -places 100 -connections 2000

check: lint test race secret cover

modules:
	@echo $(MODULES)

peers: # the programs of others, on Debian and its kin
	./.ci/peers

bogo: # the protocol tests of BoringSSL, of which BORINGSSL is a checkout
	./.ci/bogo "$(BORINGSSL)"
