package entra_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/entra"
)

// Each kind of refusal says what is wrong with which setting, and what to do.
func TestRefusals(t *testing.T) {
	login := entra.Login{Authority: "https://login.microsoftonline.com", Tenant: "contoso", ClientID: "the-app", Settings: "the source",
		Resource: entra.Resource{Name: "Azure Storage", API: "Azure Storage", Check: "check the subscription"}}
	for code, want := range map[int][2]string{
		90002:   {`there is no Microsoft Entra tenant "contoso"`, "put the directory (tenant) id from the app registration's overview page into the source"},
		700016:  {`the tenant "contoso" does not know the app registration the-app`, "from the same app registration"},
		7000215: {"the client secret of the app registration the-app is not valid", "(not its id) from Certificates & secrets in the source"},
		7000222: {"the client secret of the app registration the-app has expired", "make a new secret"},
		700027:  {"the certificate of the login does not belong to the app registration the-app", "upload the certificate"},
		1000502: {"the certificate of the login to the app registration the-app has expired", "make a new certificate"},
		700024:  {"the proof of the login to the app registration the-app is not within its time", "set the clock"},
		700213:  {"the app registration the-app has no federated credential", "compare issuer, subject and audience"},
		500011:  {`the tenant "contoso" has no Azure Storage`, "check the subscription"},
		65001:   {"the app registration the-app has no permission for Azure Storage", "grant admin consent"},
		501051:  {"the app registration the-app is not assigned to Azure Storage", "Enterprise applications, Azure Storage"},
		7000112: {"the app registration the-app is disabled", "enable it"},
		53003:   {"a Conditional Access policy blocks the login of the app registration the-app", "let the policy allow the app"},
		900382:  {`the tenant "contoso" belongs to another cloud than https://login.microsoftonline.com`, "set the login's authority"},
		123456:  {"the login is refused with AADSTS123456", "https://login.microsoftonline.com/error?code=123456"},
	} {
		for _, body := range []string{
			fmt.Sprintf(`{"error": "invalid_client", "error_codes": [%d], "error_description": "of someone@example.com"}`, code),
			fmt.Sprintf(`{"error": "invalid_client", "error_description": "AADSTS%d: of someone@example.com"}`, code),
		} {
			var refused *segment.AccessError
			require.ErrorAs(t, login.Refused(answer(http.StatusUnauthorized, body)), &refused, code)
			require.Contains(t, refused.Message, want[0])
			require.Contains(t, refused.Action, want[1])
			require.NotContains(t, refused.Error(), "someone")
		}
	}
	var refused *segment.AccessError
	require.ErrorAs(t, login.Refused(answer(http.StatusBadRequest, `{"error": "not a <word>"}`)), &refused)
	require.Equal(t, "the login is refused (notaword)", refused.Message)
	for _, passes := range []*http.Response{
		answer(http.StatusBadRequest, `{"error": "temporarily_unavailable", "error_codes": [90033]}`),
		answer(http.StatusTooManyRequests, `{"error": "x", "error_codes": [7000222]}`),
		answer(http.StatusBadGateway, "<html>"), answer(http.StatusOK, "<html>"),
	} {
		var passing *entra.PassingError
		require.ErrorAs(t, login.Refused(passes), &passing)
	}
}

func answer(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(body))}
}
