package embedded

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"

	enumspb "go.temporal.io/api/enums/v1"
	persistencespb "go.temporal.io/server/api/persistence/v1"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/metrics"
	"go.temporal.io/server/common/persistence"
	"go.temporal.io/server/common/persistence/serialization"
	persistencesql "go.temporal.io/server/common/persistence/sql"
	"go.temporal.io/server/common/persistence/sql/sqlplugin"
	"go.temporal.io/server/common/resolver"
	"go.temporal.io/server/common/searchattribute/sadefs"
	"go.temporal.io/server/schema/sqlite"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

// ensureNamespace makes the namespace, or changes the one there is to the options. It writes to the file of a server
// that is not running: the four services each keep their own copy of the namespaces, and asking a running server would
// leave open when the last of them knows a new search attribute.
func ensureNamespace(ctx context.Context, cfg *config.SQL, o Options) error {
	fresh, err := sqlite.NewNamespaceConfig(clusterName, o.Namespace, false, o.SearchAttributes)
	if err != nil {
		return err
	}
	fresh.Detail.Config.Retention = durationpb.New(o.Retention)
	if err := sqlite.CreateNamespaces(cfg, fresh); err != nil { // does nothing when there is one of the name
		return err
	}

	db, err := persistencesql.NewSQLDB(sqlplugin.DbKindMain, cfg, resolver.NewNoopResolver(), log.NewNoopLogger(), metrics.NoopMetricsHandler)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	rows, err := db.SelectFromNamespace(ctx, sqlplugin.NamespaceFilter{Name: &o.Namespace})
	if err != nil {
		return err
	}
	if len(rows) != 1 {
		return sql.ErrNoRows
	}
	row := rows[0]

	serializer := serialization.NewSerializer()
	detail, err := serializer.NamespaceDetailFromBlob(persistence.NewDataBlob(row.Data, row.DataEncoding))
	if err != nil {
		return err
	}
	before := proto.Clone(detail)
	if err := apply(detail.GetConfig(), o); err != nil {
		return err
	}
	if proto.Equal(before, detail) {
		return nil
	}
	blob, err := serializer.NamespaceDetailToBlob(detail)
	if err != nil {
		return err
	}
	row.Data, row.DataEncoding = blob.GetData(), blob.GetEncodingType().String()
	_, err = db.UpdateNamespace(ctx, &row)
	return err
}

// apply sets the retention and gives each search attribute that has none a place: on SQL an attribute is an alias for
// one of the columns Keyword01 and so on.
func apply(cfg *persistencespb.NamespaceConfig, o Options) error {
	cfg.Retention = durationpb.New(o.Retention)
	columns := sadefs.GetDBIndexSearchAttributes(nil).GetCustomSearchAttributes()
	aliases := maps.Clone(cfg.GetCustomSearchAttributeAliases())
	if aliases == nil {
		aliases = make(map[string]string)
	}
	columnOf := make(map[string]string, len(aliases))
	for column, name := range aliases {
		columnOf[name] = column
	}

	var errs []error
	for name, kind := range o.SearchAttributes {
		column, found := columnOf[name]
		if !found {
			if column = freeColumn(columns, aliases, kind); column == "" {
				errs = append(errs, fmt.Errorf("search attribute %s: no place left for another %s", name, kind))
				continue
			}
			aliases[column] = name
		} else if columns[column] != kind {
			errs = append(errs, fmt.Errorf("search attribute %s is a %s in this namespace, not a %s", name, columns[column], kind))
		}
	}
	cfg.CustomSearchAttributeAliases = aliases
	return errors.Join(errs...)
}

func freeColumn(columns map[string]enumspb.IndexedValueType, taken map[string]string, kind enumspb.IndexedValueType) string {
	for column, k := range columns {
		if _, ok := taken[column]; k == kind && !ok {
			return column
		}
	}
	return ""
}
