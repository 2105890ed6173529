// Package metrics holds what a worker tells Prometheus: counters, taken where
// the work is done, and gauges, read from the store when they are scraped. The
// names of exports, connections and schedules are labels; nothing personal is.
package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// namespace begins the name of every metric of our own.
const namespace = "segment_export"

// Work counts what this worker does.
type Work struct {
	profiles *prometheus.CounterVec
	rows     *prometheus.CounterVec
	sent     *prometheus.CounterVec
	runs     *prometheus.CounterVec
	calls    *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	slots    *prometheus.CounterVec
	waited   *prometheus.CounterVec
	pauses   *prometheus.CounterVec
	batches  prometheus.Gauge
	alerts   *prometheus.CounterVec
	faults   prometheus.Counter
}

// NewWork returns the counters, registered with r; nil registers them nowhere.
func NewWork(r prometheus.Registerer) *Work {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	}
	w := &Work{
		profiles: counter("profiles_total", "Rows and contacts of runs that ended on this worker, by the bucket they ended in.", "export", "bucket"),
		rows:     counter("source_rows_total", "Rows read from sources by this worker.", "export"),
		sent:     counter("contacts_sent_total", "Contacts in calls that Omnisend took from this worker; their verdict comes later.", "export"),
		runs:     counter("runs_ended_total", "Runs that ended on this worker, by status.", "export", "status"),
		calls:    counter("omnisend_requests_total", "Requests to Omnisend made by this worker, by outcome: ok, or the class of the failure.", "operation", "outcome"),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: "omnisend_request_seconds",
			Help: "How long Omnisend took to answer.", Buckets: []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30}}, []string{"operation"}),
		slots:  counter("budget_slots_total", "Slots of the connection's budget that this worker took.", "connection"),
		waited: counter("budget_wait_seconds_total", "Time that requests of this worker waited for the connection's budget.", "connection"),
		pauses: counter("budget_pauses_total", "Answers 429 that paused the connection.", "connection"),
		batches: prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Name: "batches_in_flight",
			Help: "Batches that this worker is uploading now."}),
		alerts: counter("alert_deliveries_total", "Attempts of this worker to deliver an alert, by outcome: ok or failed.", "alert", "outcome"),
		faults: prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: "faults_total",
			Help: "Faults of this program that this worker met: panics. The log has their stacks."}),
	}
	if r != nil {
		r.MustRegister(w.profiles, w.rows, w.sent, w.runs, w.calls, w.seconds, w.slots, w.waited, w.pauses, w.batches, w.alerts, w.faults)
	}
	return w
}

// Rows notes rows read from a source.
func (w *Work) Rows(export string, n int) { w.rows.WithLabelValues(export).Add(float64(max(n, 0))) }

// Sent notes contacts that Omnisend took.
func (w *Work) Sent(export string, n int) { w.sent.WithLabelValues(export).Add(float64(n)) }

// Ended notes a run that ended, with the buckets of its report.
func (w *Work) Ended(export, status string, buckets map[string]int) {
	w.runs.WithLabelValues(export, status).Inc()
	for bucket, n := range buckets {
		w.profiles.WithLabelValues(export, bucket).Add(float64(max(n, 0)))
	}
}

// Slot notes a slot of a connection's budget, and how long it was waited for.
func (w *Work) Slot(connection string, waited time.Duration) {
	w.slots.WithLabelValues(connection).Inc()
	w.pauses.WithLabelValues(connection) // there from the start, so that the first one is an increase
	w.Waited(connection, waited)
}

// Waited notes time spent waiting for a slot, or given to others to wait.
func (w *Work) Waited(connection string, d time.Duration) {
	w.waited.WithLabelValues(connection).Add(max(d, 0).Seconds())
}

// Paused notes a 429.
func (w *Work) Paused(connection string) { w.pauses.WithLabelValues(connection).Inc() }

// Alert notes an attempt to deliver an alert.
func (w *Work) Alert(alert string, err error) {
	outcome := "ok"
	if err != nil {
		outcome = "failed"
	}
	w.alerts.WithLabelValues(alert, outcome).Inc()
}

// Fault notes a fault of this program.
func (w *Work) Fault() { w.faults.Inc() }

// Uploading notes a batch in this worker's hand; call what it returns when it
// is not any more.
func (w *Work) Uploading() (done func()) {
	w.batches.Inc()
	return w.batches.Dec
}
