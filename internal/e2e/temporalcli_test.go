package e2e

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/types/known/durationpb"
)

// temporalCommand is the name under which the test binary is Temporal's command
// line, as far as our deployments and pages use it: the same words, carried out
// at the same server. The real one cannot be had as a Go module.
const temporalCommand = "temporal"

func runTemporalCommand() {
	var c client.Client
	namespace := &cli.StringFlag{Name: "namespace", Value: client.DefaultNamespace}
	app := &cli.App{
		Name:     temporalCommand,
		HideHelp: true,
		Before: func(*cli.Context) (err error) {
			c, err = client.Dial(client.Options{HostPort: os.Getenv("TEMPORAL_ADDRESS"), Logger: quiet})
			return err
		},
		Commands: []*cli.Command{
			{Name: "operator", Subcommands: []*cli.Command{
				{Name: "cluster", Subcommands: []*cli.Command{{Name: "health", Action: func(ctx *cli.Context) error {
					_, err := c.CheckHealth(ctx.Context, &client.CheckHealthRequest{})
					return err
				}}}},
				{Name: "namespace", Subcommands: []*cli.Command{
					{Name: "describe", Flags: []cli.Flag{namespace}, Action: func(ctx *cli.Context) error {
						_, err := c.WorkflowService().DescribeNamespace(ctx.Context, &workflowservice.DescribeNamespaceRequest{Namespace: ctx.String("namespace")})
						return err
					}},
					{Name: "create", Flags: []cli.Flag{namespace, &cli.StringFlag{Name: "retention"}}, Action: func(ctx *cli.Context) error {
						var days int
						if _, err := fmt.Sscanf(ctx.String("retention"), "%dd", &days); err != nil {
							return fmt.Errorf("--retention: %w", err)
						}
						_, err := c.WorkflowService().RegisterNamespace(ctx.Context, &workflowservice.RegisterNamespaceRequest{
							Namespace: ctx.String("namespace"), WorkflowExecutionRetentionPeriod: durationpb.New(time.Duration(days) * 24 * time.Hour)})
						return err
					}},
				}},
				{Name: "search-attribute", Subcommands: []*cli.Command{{Name: "create",
					Flags:  []cli.Flag{namespace, &cli.StringSliceFlag{Name: "name"}, &cli.StringSliceFlag{Name: "type"}},
					Action: func(ctx *cli.Context) error { return createSearchAttributes(ctx, c) }}}},
			}},
			{Name: "worker", Subcommands: []*cli.Command{{Name: "deployment", Subcommands: deploymentCommands(&c)}}},
		},
	}
	if err := app.Run(os.Args); err != nil {
		fmt.Fprintln(os.Stderr, "temporal:", err)
		os.Exit(1)
	}
}

func createSearchAttributes(ctx *cli.Context, c client.Client) error {
	names, types := ctx.StringSlice("name"), ctx.StringSlice("type")
	if len(names) != len(types) || ctx.Args().Present() {
		return fmt.Errorf("%d names, %d types, %v", len(names), len(types), ctx.Args().Slice())
	}
	attributes := map[string]enumspb.IndexedValueType{}
	for i, name := range names {
		t, err := enumspb.IndexedValueTypeFromString(types[i])
		if err != nil {
			return err
		}
		attributes[name] = t
	}
	_, err := c.OperatorService().AddSearchAttributes(ctx.Context, &operatorservice.AddSearchAttributesRequest{
		Namespace: ctx.String("namespace"), SearchAttributes: attributes})
	if err != nil {
		return fmt.Errorf("%s: %w", strings.Join(names, ", "), err)
	}
	return nil
}

// deploymentCommands are those about the builds that worker deployments are made
// of. The real one asks before it sets a version unless a flag forbids it.
func deploymentCommands(c *client.Client) []*cli.Command {
	deployment := func(name string) client.WorkerDeploymentHandle { return (*c).WorkerDeploymentClient().GetHandle(name) }
	return []*cli.Command{
		{Name: "set-current-version",
			Flags: []cli.Flag{&cli.StringFlag{Name: "deployment-name", Required: true}, &cli.StringFlag{Name: "build-id", Required: true},
				&cli.BoolFlag{Name: "yes", Required: true}},
			Action: func(ctx *cli.Context) error {
				_, err := deployment(ctx.String("deployment-name")).SetCurrentVersion(ctx.Context,
					client.WorkerDeploymentSetCurrentVersionOptions{BuildID: ctx.String("build-id")})
				return err
			}},
		{Name: "describe", Flags: []cli.Flag{&cli.StringFlag{Name: "name", Required: true}}, Action: func(ctx *cli.Context) error {
			d, err := deployment(ctx.String("name")).Describe(ctx.Context, client.WorkerDeploymentDescribeOptions{})
			if err != nil {
				return err
			}
			if current := d.Info.RoutingConfig.CurrentVersion; current != nil {
				fmt.Println("CurrentVersionBuildID", current.BuildID)
			}
			for _, v := range d.Info.VersionSummaries {
				drainage := map[client.WorkerDeploymentVersionDrainageStatus]string{
					client.WorkerDeploymentVersionDrainageStatusUnspecified: "unspecified",
					client.WorkerDeploymentVersionDrainageStatusDraining:    "draining",
					client.WorkerDeploymentVersionDrainageStatusDrained:     "drained",
				}[v.DrainageStatus]
				fmt.Println(v.Version.DeploymentName, v.Version.BuildID, drainage)
			}
			return nil
		}},
	}
}
