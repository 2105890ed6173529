// Command standalone is everything in one process on one machine, see package program.
package main

import (
	"os"

	"github.com/segment-export/segment-export/activities"
	"github.com/segment-export/segment-export/deployments/standalone/program"
)

func main() { os.Exit(program.Main(activities.Tuning{})) }
