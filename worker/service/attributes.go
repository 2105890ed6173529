package service

import (
	"context"
	"fmt"
	"strings"

	"github.com/segment-export/segment-export/internal/scheduling"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/sdk/client"
)

// SearchAttributes are those that a namespace needs, with their types.
func SearchAttributes() map[string]enumspb.IndexedValueType {
	return map[string]enumspb.IndexedValueType{
		scheduling.ExportNameAttribute.GetName(): enumspb.INDEXED_VALUE_TYPE_KEYWORD,
		scheduling.ConnectionAttribute.GetName(): enumspb.INDEXED_VALUE_TYPE_KEYWORD,
		scheduling.StatusAttribute.GetName():     enumspb.INDEXED_VALUE_TYPE_KEYWORD,
	}
}

// CheckSearchAttributes says how to add the search attributes that the
// namespace lacks, if it lacks any.
func CheckSearchAttributes(ctx context.Context, c client.Client, namespace string) error {
	if namespace == "" {
		namespace = client.DefaultNamespace
	}
	there, err := c.OperatorService().ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: namespace})
	if err != nil {
		return fmt.Errorf("search attributes of the namespace %q: %w", namespace, err)
	}
	var missing []string
	for _, name := range []string{scheduling.ExportNameAttribute.GetName(), scheduling.ConnectionAttribute.GetName(), scheduling.StatusAttribute.GetName()} {
		if there.GetCustomAttributes()[name] != enumspb.INDEXED_VALUE_TYPE_KEYWORD {
			missing = append(missing, "--name "+name+" --type Keyword")
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("the namespace %q lacks search attributes; add them with:\n  temporal operator search-attribute create --namespace %s %s",
			namespace, namespace, strings.Join(missing, " "))
	}
	return nil
}
