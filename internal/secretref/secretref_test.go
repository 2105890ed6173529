package secretref_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/secretref"
)

func TestResolve(t *testing.T) {
	base := t.TempDir()
	dir := filepath.Join(base, "secrets")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "..data"), 0o700))
	for path, content := range map[string]string{"key": "s3cret\r\n", "empty": "\n", "binary": "\xff\xfe\n", "..data/pw": "mounted",
		"large": strings.Repeat("x", 65<<10), "../other": "not yours"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, path), []byte(content), 0o600))
	}
	// As Kubernetes mounts secrets: links to what is in the folder.
	require.NoError(t, os.Symlink("..data/pw", filepath.Join(dir, "pw")))
	require.NoError(t, os.Symlink("../other", filepath.Join(dir, "out")))
	env := map[string]string{"OMNISEND_KEY": "k", "SOURCE_CRM": "c\n", "SOURCE_NONE": "", "HOME": "/root"}
	r := secretref.Resolver{Dir: dir, LookupEnv: func(name string) (string, bool) { v, ok := env[name]; return v, ok }}

	for ref, want := range map[string]string{"env:OMNISEND_KEY": "k", "env:SOURCE_CRM": "c", "file:key": "s3cret", "file:pw": "mounted",
		"file:binary": "\xff\xfe\n", "file:" + dir + "/key": "s3cret"} {
		got, err := r.Resolve(ref)
		require.NoError(t, err, ref)
		require.Equal(t, want, string(got), ref)
	}
	for ref, says := range map[string]string{
		"":                        "is not a reference to a secret; write env:NAME or file:NAME",
		"s3cret":                  "is not a reference",
		"vault:x":                 "is not a reference",
		"env:":                    "names no variable",
		"env:A B":                 "names no variable",
		"env:HOME":                "not one that may be named; the names of variables with secrets begin with OMNISEND_ or SOURCE_",
		"env:SOURCE_MISSING":      "the variable SOURCE_MISSING is not set in the environment of this worker; set it for every worker",
		"env:SOURCE_NONE":         "the secret env:SOURCE_NONE is empty",
		"file:":                   "names no file",
		"file:missing":            "the worker's folder of secrets has no file missing; mount it",
		"file:empty":              "is empty on this worker",
		"file:large":              "too large to be a secret",
		"file:..data":             "is not a regular file",
		"file:out":                "is not in the worker's folder of secrets",
		"file:../other":           "is not in the worker's folder of secrets",
		"file:" + base + "/other": "is not in the worker's folder of secrets",
	} {
		_, err := r.Resolve(ref)
		require.ErrorContains(t, err, says, ref)
		var e *secretref.Error
		require.ErrorAs(t, err, &e, ref)
		require.NotContains(t, err.Error(), "not yours")
	}
	_, err := secretref.Resolver{}.Resolve("file:key")
	require.ErrorContains(t, err, "--secrets-dir")
	_, err = secretref.Resolver{Dir: filepath.Join(base, "nowhere")}.Resolve("file:key")
	require.ErrorContains(t, err, "cannot be opened: no such file or directory; mount it")
}
