package activities

import (
	"github.com/segment-export/segment-export/internal/alerting"
	"github.com/segment-export/segment-export/internal/delivery"
	"github.com/segment-export/segment-export/internal/fault"
	"github.com/segment-export/segment-export/internal/intake"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/scheduling"
)

// What goes into activities and comes out of them, as workflows know it.
type (
	Tuning = job.Tuning

	RunInput = job.RunInput
	Halt     = run.Halt

	PreflightInput  = intake.PreflightInput
	PreflightResult = intake.PreflightResult
	CollectInput    = intake.CollectInput
	CollectResult   = job.CollectResult
	DecideResult    = intake.DecideResult

	AdoptResult  = delivery.AdoptResult
	UploadInput  = delivery.UploadInput
	UploadResult = delivery.UploadResult
	SweepInput   = delivery.SweepInput
	SweepResult  = delivery.SweepResult
	RecordInput  = delivery.RecordInput
	FinishInput  = delivery.FinishInput
	VerifyInput  = delivery.VerifyInput
	VerifyResult = delivery.VerifyResult

	TickInput  = scheduling.TickInput
	TickResult = scheduling.TickResult
	AlertInput = alerting.AlertInput
)

// The kinds of halts.
const (
	HaltWait = run.HaltWait
	HaltPark = run.HaltPark
	HaltSkip = run.HaltSkip
	HaltFail = run.HaltFail
	HaltStop = run.HaltStop
)

// FaultAction is what to do about a run that met a fault of this program.
const FaultAction = fault.Action
