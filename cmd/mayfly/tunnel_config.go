// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"fmt"
	"slices"

	"github.com/BurntSushi/toml"
	"github.com/spf13/pflag"
)

// A configFile is what a configuration file says: values by the names of flags.
type configFile map[string][]string

// readConfig reads a file of settings for a set of flags.
func readConfig(path string, f *pflag.FlagSet) (configFile, error) {
	var values map[string]any
	if _, err := toml.DecodeFile(path, &values); err != nil {
		return nil, fmt.Errorf("the configuration %s: %w", path, err)
	}
	settings := make(configFile)
	for name, value := range values {
		if f.Lookup(name) == nil || name == "config" || name == "help" {
			return nil, fmt.Errorf("the configuration %s has a setting %q, and there is none: they are named as the flags are, without the dashes", path, name)
		}
		list, ok := value.([]any)
		if !ok {
			list = []any{value}
		}
		settings[name] = []string{}
		for _, v := range list {
			switch v.(type) {
			case string, int64, bool:
				settings[name] = append(settings[name], fmt.Sprint(v))
			default:
				return nil, fmt.Errorf("the configuration %s: %s is a string, a number, true or false, or a list of these", path, name)
			}
		}
	}
	return settings, nil
}

// apply sets the flags that the command line has left alone.
func (c configFile) apply(path string, f *pflag.FlagSet) error {
	var given []string
	f.Visit(func(flag *pflag.Flag) { given = append(given, flag.Name) })
	for name, values := range c {
		if slices.Contains(given, name) {
			continue
		}
		for _, v := range values {
			if err := f.Set(name, v); err != nil {
				return fmt.Errorf("the configuration %s: %w", path, flagSentence(err))
			}
		}
	}
	return nil
}
