//go:build !goexperiment.runtimesecret

package memscan_test

const build = "plain"
