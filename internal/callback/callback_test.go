// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package callback

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// captureLog sends slog's default logger to a buffer until the test ends. Such a test is
// not parallel to any other.
func captureLog(t *testing.T) *bytes.Buffer {
	before := slog.Default()
	t.Cleanup(func() { slog.SetDefault(before) })
	var text bytes.Buffer
	slog.SetDefault(slog.New(slog.NewTextHandler(&text, nil)))
	return &text
}

func TestLogSuppressesAboveItsRate(t *testing.T) {
	text := captureLog(t)
	synctest.Test(t, func(t *testing.T) {
		var log Log
		fail := func(times int) (lines int) {
			text.Reset()
			for range times {
				log.Failed(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 4}, errors.New("refused"))
			}
			return strings.Count(text.String(), "\n")
		}
		if lines := fail(linesPerSecond + 7); lines != linesPerSecond {
			t.Errorf("%d lines in a second, want %d", lines, linesPerSecond)
		}
		time.Sleep(time.Second) // on the bubble's clock
		if lines := fail(1); lines != 1 || !strings.Contains(text.String(), "suppressed=7") || !strings.Contains(text.String(), "192.0.2.1:4") {
			t.Errorf("a second later: %s", text)
		}
	})
}

func TestIsolateContainsPanicAndGoexit(t *testing.T) {
	text := captureLog(t)
	var log Log
	for _, c := range []struct {
		name string
		f    func()
		line string
	}{
		{"panic", func() { panic("boom") }, "panic=boom"},
		{"Goexit", runtime.Goexit, "called runtime.Goexit"},
	} {
		text.Reset()
		if o := Isolate(&log, c.f); o.Returned {
			t.Errorf("%s: reported as returned", c.name)
		}
		if !strings.Contains(text.String(), c.line) || !strings.Contains(text.String(), "stack=") {
			t.Errorf("%s: logged %q", c.name, text)
		}
	}
	text.Reset()
	if o := Isolate(&log, func() {}); !o.Returned || text.Len() > 0 {
		t.Errorf("a callback that returned: %v, logged %q", o.Returned, text)
	}
}

func TestAskReplaysPanicOnTheCallersGoroutine(t *testing.T) {
	captureLog(t)
	var calls Calls
	defer func() {
		if value := recover(); value != "boom" {
			t.Errorf("recovered %v", value)
		}
	}()
	_, _ = Ask(t.Context(), &calls, func(context.Context) (int, error) { panic("boom") }, func(int) {})
	t.Error("Ask returned")
}

func TestAskGivesUpAfterItsTimeoutAndHandsOverTheLateAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls Calls
		release, late := make(chan struct{}), make(chan int, 1)
		start := time.Now()
		_, err := Ask(t.Context(), &calls, func(context.Context) (int, error) { <-release; return 7, nil }, func(v int) { late <- v })
		if !errors.Is(err, ErrSlow) || time.Since(start) != StoreTimeout {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		close(release)
		if v := <-late; v != 7 {
			t.Errorf("late answer %d, want 7", v)
		}
	})
}

func TestAskRefusesAboveMaxCalls(t *testing.T) {
	var calls Calls
	for range MaxCalls {
		if !calls.Begin(MaxCalls) {
			t.Fatal("refused below the limit")
		}
	}
	asked := false
	if _, err := Ask(t.Context(), &calls, func(context.Context) (int, error) { asked = true; return 0, nil }, func(int) {}); !errors.Is(err, ErrSlow) || asked {
		t.Errorf("above the limit: %v, called: %v", err, asked)
	}
	calls.End()
	if v, err := Ask(t.Context(), &calls, func(context.Context) (int, error) { return 3, nil }, func(int) {}); v != 3 || err != nil {
		t.Errorf("after one ended: %d, %v", v, err)
	}
}
