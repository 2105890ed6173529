package console_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestAConnectionShowsItsLastHour(t *testing.T) {
	body := open(t, full("admin")).get("/connections/shop").Body.String()
	plot := body[strings.Index(body, `<svg class="hour"`):]
	plot = plot[:strings.Index(plot, "</svg>")]
	assert.Equal(t, 2, strings.Count(plot, `class="good"`))
	assert.Equal(t, 1, strings.Count(plot, `class="bad"`))
	assert.Equal(t, 1, strings.Count(plot, "<polyline"))
	for _, row := range []string{`<td>08:30</td><td class="num">120</td><td class="num">300</td><td class="num"></td>`, `<td>08:58</td><td class="num">290</td><td class="num">285</td><td class="num">1</td>`} {
		assert.Contains(t, body, row)
	}
	assert.NotContains(t, open(t, full("contributor")).get("/sources").Body.String(), "<svg class=\"hour\"")
}
