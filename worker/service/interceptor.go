package service

import (
	"context"
	"log/slog"
	"reflect"
	"strings"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"

	"github.com/segment-export/segment-export/internal/logging"
)

// naming gives the log lines of every activity the run and the export that
// they are about.
type naming struct {
	interceptor.WorkerInterceptorBase
}

func (*naming) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	return &namingInbound{interceptor.ActivityInboundInterceptorBase{Next: next}}
}

type namingInbound struct {
	interceptor.ActivityInboundInterceptorBase
}

func (n *namingInbound) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	info := activity.GetInfo(ctx)
	attributes := []slog.Attr{slog.String("activity", info.ActivityType.Name)}
	if kind, export, ok := strings.Cut(info.WorkflowExecution.ID, "/"); ok && (kind == "export" || kind == "plan") {
		attributes = append(attributes, slog.String("export", export))
	}
	if len(in.Args) > 0 {
		if v := reflect.Indirect(reflect.ValueOf(in.Args[0])); v.Kind() == reflect.Struct {
			if id := v.FieldByName("RunID"); id.IsValid() && id.Kind() == reflect.String {
				attributes = append(attributes, slog.String("run", id.String()))
			}
		}
	}
	return n.Next.ExecuteActivity(logging.With(ctx, attributes...), in)
}
