package main

import "armor/internal/cli"

func versionString() string {
	v, commit := cli.Built()
	return v + " " + commit
}
