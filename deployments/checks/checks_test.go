// Package checks holds the files of deployments against what will read them,
// as far as that can be done without a container engine or a cluster. It is a
// module of its own, so that nothing else depends on Helm and Kubernetes.
package checks

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/stretchr/testify/require"
	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

func TestComposeFile(t *testing.T) {
	options, err := cli.NewProjectOptions([]string{"../../compose.yaml"}, cli.WithEnv([]string{"POSTGRES_PASSWORD=secret"}), cli.WithInterpolation(true))
	require.NoError(t, err)
	project, err := options.LoadProject(t.Context())
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"postgres", "temporal-schema", "temporal", "namespace", "ui", "migrate", "worker-1", "worker-2", "prometheus"}, project.ServiceNames())
	for _, s := range project.Services {
		for _, p := range s.Ports {
			require.Equal(t, "127.0.0.1", p.HostIP, "%s listens beyond this machine", s.Name)
		}
		if strings.HasPrefix(s.Name, "worker-") {
			require.True(t, s.ReadOnly)
			require.Equal(t, []string{"ALL"}, s.CapDrop)
			require.Equal(t, "1m0s", s.StopGracePeriod.String())
		}
		if s.Build != nil {
			require.FileExists(t, filepath.Join(s.Build.Context, s.Build.Dockerfile))
		}
		for _, v := range s.Volumes {
			if v.Type == "bind" {
				require.DirExists(t, v.Source)
			}
		}
	}
	_, err = (func() (any, error) {
		o, err := cli.NewProjectOptions([]string{"../../compose.yaml"}, cli.WithInterpolation(true))
		if err != nil {
			return nil, err
		}
		return o.LoadProject(t.Context())
	})()
	require.ErrorContains(t, err, "POSTGRES_PASSWORD", "there is no password that everybody knows")
}

const chartDir = "../helm/segment-export"

// manifests renders the chart.
func manifests(t *testing.T, values map[string]any) map[string]string {
	t.Helper()
	chart, err := loader.Load(chartDir)
	require.NoError(t, err)
	all, err := chartutil.ToRenderValues(chart, values, chartutil.ReleaseOptions{Name: "shop", Namespace: "exports"}, nil)
	require.NoError(t, err)
	rendered, err := engine.Engine{Strict: true}.Render(chart, all)
	require.NoError(t, err)
	found := map[string]string{}
	for name, text := range rendered {
		if strings.TrimSpace(text) != "" {
			found[filepath.Base(name)] = text
		}
	}
	return found
}

// strict decodes a manifest, and refuses a field that Kubernetes does not know.
func strict[T any](t *testing.T, manifest string) T {
	t.Helper()
	var v T
	require.NoError(t, yaml.UnmarshalStrict([]byte(manifest), &v), manifest)
	return v
}

func TestHelmChart(t *testing.T) {
	lint := action.NewLint()
	lint.Strict = true
	result := lint.Run([]string{chartDir}, nil)
	require.Empty(t, result.Errors)
	for _, m := range result.Messages {
		require.Contains(t, m.Error(), "icon is recommended")
	}
	for name, values := range map[string]map[string]any{
		"as it is": {},
		"everything": {"buildId": "2.0", "podMonitor": true, "segmentsClaim": "segments", "nodeSelector": map[string]any{"a": "b"},
			"temporal": map[string]any{"apiKeySecret": "cloud", "tlsSecret": "tls"}},
	} {
		t.Run(name, func(t *testing.T) {
			all := manifests(t, values)
			d := strict[appsv1.Deployment](t, all["deployment.yaml"])
			pod := d.Spec.Template.Spec
			require.Equal(t, d.Spec.Selector.MatchLabels, d.Spec.Template.Labels)
			require.GreaterOrEqual(t, *pod.TerminationGracePeriodSeconds, int64(60))
			job := strict[batchv1.Job](t, all["migrate.yaml"])
			require.Equal(t, []string{"migrate"}, job.Spec.Template.Spec.Containers[0].Args)
			budget := strict[policyv1.PodDisruptionBudget](t, all["disruption.yaml"])
			require.Equal(t, d.Spec.Selector.MatchLabels, budget.Spec.Selector.MatchLabels)
			for _, spec := range []corev1.PodSpec{pod, job.Spec.Template.Spec} {
				require.True(t, *spec.SecurityContext.RunAsNonRoot)
				for _, c := range append(spec.InitContainers, spec.Containers...) {
					require.True(t, *c.SecurityContext.ReadOnlyRootFilesystem, c.Name)
					require.False(t, *c.SecurityContext.AllowPrivilegeEscalation, c.Name)
					require.False(t, c.Resources.Limits.Memory().IsZero(), c.Name)
					for _, e := range c.Env { // secrets by reference only
						if strings.Contains(e.Name, "KEY") && !strings.HasSuffix(e.Name, "_PATH") || strings.Contains(e.Name, "STORE_URL") {
							require.NotNil(t, e.ValueFrom.SecretKeyRef, e.Name)
						}
					}
				}
			}
			worker := pod.Containers[0]
			require.Contains(t, all["NOTES.txt"], "exec deploy/"+d.Name+" --container "+worker.Name+" -- starter status")
			require.Contains(t, worker.Env, corev1.EnvVar{Name: "SEGMENT_EXPORT_DATA_DIR", Value: "/data"}, "the starter finds the identity there")
			require.Equal(t, "/readyz", worker.ReadinessProbe.HTTPGet.Path)
			require.Equal(t, "/livez", worker.LivenessProbe.HTTPGet.Path)
			mounts := map[string]bool{}
			for _, v := range pod.Volumes {
				mounts[v.Name] = true
			}
			for _, m := range append(worker.VolumeMounts, pod.InitContainers[0].VolumeMounts...) {
				require.True(t, mounts[m.Name], m.Name)
			}
			_, monitored := all["podmonitor.yaml"]
			require.Equal(t, name == "everything", monitored)
		})
	}
}

func TestSystemdUnits(t *testing.T) {
	units, err := filepath.Glob("../systemd/*.service")
	require.NoError(t, err)
	require.Len(t, units, 2)
	for _, unit := range units {
		text, err := os.ReadFile(unit)
		require.NoError(t, err)
		program := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(unit), "segment-export-"), ".service")
		at := filepath.Join(t.TempDir(), filepath.Base(unit))
		// The program is not installed here, anything that is will do.
		here := strings.Replace(string(text), "ExecStart=/usr/local/bin/"+program, "ExecStart=/bin/true", 1)
		require.NotEqual(t, string(text), here)
		require.NoError(t, os.WriteFile(at, []byte(here), 0o600))
		output, err := exec.CommandContext(t.Context(), "systemd-analyze", "verify", at).CombinedOutput()
		require.NoError(t, err, "%s", output)
		require.Empty(t, string(output))
	}
}
