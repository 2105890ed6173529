package service

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/segment-export/segment-export/internal/access"
	"github.com/segment-export/segment-export/internal/access/oidc"
	"github.com/segment-export/segment-export/internal/seal"
)

// The kinds of --identity.
const (
	IdentityFile = "file"
	identityOIDC = "oidc"
)

// RoleSeparator parts the values of --oidc-role in its variable: names of groups
// hold commas.
const RoleSeparator = ";"

// Identity says how a worker identifies people. The zero value is the identity
// file in the data directory: anyone who can read it is admin.
type Identity struct {
	Kind string
	OIDC oidc.Options // of the kind oidc; Open is filled in
}

// IdentityFlags are the options of programs with a worker.
func IdentityFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "identity", Value: IdentityFile, EnvVars: []string{"SEGMENT_EXPORT_IDENTITY"},
			Usage: "how people are identified: file (anyone who can read identity.json in the data directory is admin) or oidc (tokens)"},
		&cli.StringFlag{Name: "oidc-issuer", EnvVars: []string{"SEGMENT_EXPORT_OIDC_ISSUER"}, Usage: "`URL` of the OpenID Connect provider"},
		&cli.StringFlag{Name: "oidc-audience", EnvVars: []string{"SEGMENT_EXPORT_OIDC_AUDIENCE"}, Usage: "`AUDIENCE` that tokens must have"},
		&cli.StringFlag{Name: "oidc-groups-claim", Value: "groups", EnvVars: []string{"SEGMENT_EXPORT_OIDC_GROUPS_CLAIM"}, Usage: "`CLAIM` with the groups; use dots for nested objects, such as realm_access.roles"},
		&cli.StringFlag{Name: "oidc-name-claim", EnvVars: []string{"SEGMENT_EXPORT_OIDC_NAME_CLAIM"}, Usage: "`CLAIM` with the name to show for a person (default: preferred_username, email, sub)"},
		&cli.StringSliceFlag{Name: "oidc-role", EnvVars: []string{"SEGMENT_EXPORT_OIDC_ROLES"}, Usage: "`ROLE=GROUP` gives a group the role admin, contributor or viewer; can be repeated; in the variable, separate roles with ;"},
	}
}

// IdentityFrom reads the options of IdentityFlags.
func IdentityFrom(c *cli.Context) (Identity, error) {
	i := Identity{Kind: c.String("identity")}
	switch i.Kind {
	case IdentityFile:
		for _, flag := range []string{"oidc-issuer", "oidc-audience", "oidc-role"} {
			if c.IsSet(flag) {
				return i, fmt.Errorf("--%s needs --identity oidc", flag)
			}
		}
		return i, nil
	case identityOIDC:
	default:
		return i, fmt.Errorf("--identity %q is neither file nor oidc", i.Kind)
	}
	if c.String("oidc-issuer") == "" {
		return i, errors.New("--identity oidc needs --oidc-issuer, --oidc-audience and --oidc-role")
	}
	roles, err := oidc.ParseRoles(c.StringSlice("oidc-role"))
	if err != nil {
		return i, err
	}
	i.OIDC = oidc.Options{Issuer: c.String("oidc-issuer"), Audience: c.String("oidc-audience"),
		GroupsClaim: c.String("oidc-groups-claim"), NameClaim: c.String("oidc-name-claim"), Roles: roles}
	return i, nil
}

// identifier makes what tells people.
func (i Identity) identifier(path string, keyring *seal.Keyring) (access.Identifier, error) {
	if i.Kind == identityOIDC {
		o := i.OIDC
		o.Open = keyring.OpenEnvelope
		return oidc.New(o)
	}
	id, _, err := access.LoadOrCreateIdentity(path, keyring.PublicKey())
	return id, err
}
