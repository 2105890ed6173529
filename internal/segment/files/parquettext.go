package files

import (
	"math/big"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// toText turns a value that is not null into text, as a CSV file would have it;
// false when it is none.
type toText func(parquet.Value) (string, bool)

// textOf returns what turns the values of a type into text; nil when nothing
// can.
func textOf(t parquet.Type) toText {
	if logical := t.LogicalType(); logical != nil {
		switch l := logical.Value.(type) {
		case *format.DecimalType:
			if l.Scale < 0 || l.Scale > mostDigits {
				return nil
			}
			return decimalText(int(l.Scale))
		case *format.DateType:
			return func(v parquet.Value) (string, bool) {
				return time.Unix(int64(v.Int32())*24*60*60, 0).UTC().Format(time.DateOnly), true
			}
		case *format.TimeType:
			unit := unitOf(l.Unit)
			return func(v parquet.Value) (string, bool) {
				n := v.Int64()
				if v.Kind() == parquet.Int32 {
					n = int64(v.Int32())
				}
				return time.Unix(0, 0).UTC().Add(time.Duration(n) * unit).Format("15:04:05.999999999"), true
			}
		case *format.TimestampType:
			return timestampText(l)
		case *format.IntType:
			if !l.IsSigned {
				return func(v parquet.Value) (string, bool) {
					if v.Kind() == parquet.Int32 {
						return strconv.FormatUint(uint64(v.Uint32()), 10), true
					}
					return strconv.FormatUint(v.Uint64(), 10), true
				}
			}
		case *format.UUIDType:
			return func(v parquet.Value) (string, bool) {
				id, err := uuid.FromBytes(v.ByteArray())
				return id.String(), err == nil
			}
		case *format.NullType:
			return func(parquet.Value) (string, bool) { return "", true }
		case *format.StringType, *format.EnumType, *format.JsonType:
		default:
			return nil
		}
	}
	return physicalText(t.Kind())
}

func physicalText(kind parquet.Kind) toText {
	switch kind {
	case parquet.Boolean:
		return func(v parquet.Value) (string, bool) { return strconv.FormatBool(v.Boolean()), true }
	case parquet.Int32:
		return func(v parquet.Value) (string, bool) { return strconv.FormatInt(int64(v.Int32()), 10), true }
	case parquet.Int64:
		return func(v parquet.Value) (string, bool) { return strconv.FormatInt(v.Int64(), 10), true }
	case parquet.Int96:
		return int96Text
	case parquet.Float:
		return func(v parquet.Value) (string, bool) { return floatText(float64(v.Float()), 32), true }
	case parquet.Double:
		return func(v parquet.Value) (string, bool) { return floatText(v.Double(), 64), true }
	case parquet.ByteArray:
		return func(v parquet.Value) (string, bool) {
			b := v.ByteArray()
			return string(b), utf8.Valid(b)
		}
	}
	return nil // bytes of a fixed length without a meaning
}

// floatText has no exponent where people would write none.
func floatText(f float64, bits int) string {
	if abs := max(f, -f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		return strconv.FormatFloat(f, 'e', -1, bits)
	}
	return strconv.FormatFloat(f, 'f', -1, bits)
}

func unitOf(u format.TimeUnit) time.Duration {
	switch u.Value.(type) {
	case *format.MilliSeconds:
		return time.Millisecond
	case *format.MicroSeconds:
		return time.Microsecond
	}
	return time.Nanosecond
}

const (
	utcTime   = "2006-01-02T15:04:05.999999999Z07:00"
	localTime = "2006-01-02T15:04:05.999999999"
)

// timestampText writes a time as ISO 8601 has it; without a zone where the file
// has none.
func timestampText(t *format.TimestampType) toText {
	layout := localTime
	if t.IsAdjustedToUTC {
		layout = utcTime
	}
	perSecond := int64(time.Second / unitOf(t.Unit))
	return func(v parquet.Value) (string, bool) {
		n := v.Int64()
		second := n / perSecond
		rest := n % perSecond * int64(time.Second) / perSecond
		return time.Unix(second, rest).UTC().Format(layout), true
	}
}

// int96Text reads the old way to write times, still the default of some
// programs: nanoseconds of a day, and the Julian day.
func int96Text(v parquet.Value) (string, bool) {
	const unixEpoch = 2_440_588 // the Julian day of 1970-01-01
	i := v.Int96()
	nanos := int64(i[0]) | int64(i[1])<<32
	return time.Unix((int64(i[2])-unixEpoch)*24*60*60, nanos).UTC().Format(utcTime), true
}

// mostDigits is how many digits a decimal may have behind its point, and about
// how many in all.
const mostDigits = 1000

// decimalText writes all digits of the scale, as the column has them.
func decimalText(scale int) toText {
	return func(v parquet.Value) (string, bool) {
		var unscaled *big.Int
		switch v.Kind() {
		case parquet.Int32:
			unscaled = big.NewInt(int64(v.Int32()))
		case parquet.Int64:
			unscaled = big.NewInt(v.Int64())
		default:
			b := v.ByteArray()
			if len(b) > mostDigits/2 {
				return "", false
			}
			unscaled = new(big.Int).SetBytes(b)
			if len(b) > 0 && b[0] >= 0x80 { // negative, in two's complement
				unscaled.Sub(unscaled, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
			}
		}
		digits := new(big.Int).Abs(unscaled).String()
		if scale > 0 {
			if missing := scale + 1 - len(digits); missing > 0 {
				digits = strings.Repeat("0", missing) + digits
			}
			digits = digits[:len(digits)-scale] + "." + digits[len(digits)-scale:]
		}
		if unscaled.Sign() < 0 {
			digits = "-" + digits
		}
		return digits, true
	}
}
