// Package entra says in words that an administrator can act on why Microsoft
// Entra gives no token: for every source whose login is from there.
package entra

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"github.com/segment-export/segment-export/internal/segment"
)

// Login is who asks for a token, and for what.
type Login struct {
	Authority string // that is asked, such as https://login.microsoftonline.com
	Tenant    string // as it is set; empty when it is not known
	ClientID  string // of the app registration; empty when it is not known
	Settings  string // where the three are set, such as "the source"
	Resource  Resource
}

// Resource is what a token is for.
type Resource struct {
	Name  string // such as "Dataverse environment https://contoso.crm4.dynamics.com"
	Check string // what to do when the tenant has none
	API   string // what it is called under API permissions
}

// PassingError says that a token may be had the next time.
type PassingError struct{ text string }

// Error says why there is none now.
func (e *PassingError) Error() string { return e.text }

// Refused reads the answer with which a token was refused: an
// *segment.AccessError when a person must change something, a *PassingError
// when a retry may help. What the answer says in words is not passed on.
func (l Login) Refused(r *http.Response) error {
	body, err := runtime.Payload(r)
	var answer struct {
		Error string `json:"error"`
		Codes []int  `json:"error_codes"`
		Text  string `json:"error_description"`
	}
	if err != nil || json.Unmarshal(body, &answer) != nil || r.StatusCode >= http.StatusInternalServerError || r.StatusCode == http.StatusTooManyRequests {
		return &PassingError{fmt.Sprintf("the login at %s answered with status %d", l.Authority, r.StatusCode)}
	}
	code := 0
	if len(answer.Codes) > 0 {
		code = answer.Codes[0]
	} else if _, err := fmt.Sscanf(answer.Text, "AADSTS%d", &code); err != nil {
		code = 0
	}
	return l.refused(code, answer.Error)
}

// refused says what a code of Microsoft Entra means for a login.
func (l Login) refused(code int, name string) error {
	refused := func(message, action string) error { return &segment.AccessError{Message: message, Action: action} }
	app, tenant := "the app registration", "the tenant"
	if l.ClientID != "" {
		app += " " + l.ClientID
	}
	if l.Tenant != "" {
		tenant += fmt.Sprintf(" %q", l.Tenant)
	}
	switch code {
	case 90002, 90013, 900021, 900023, 900144, 50059:
		return refused(fmt.Sprintf("there is no Microsoft Entra tenant %q", l.Tenant),
			"put the directory (tenant) id from the app registration's overview page into "+l.Settings)
	case 700016, 700011, 90099:
		return refused(tenant+" does not know "+app,
			"check that tenant and client id are from the same app registration; the client id is the application (client) id on its overview page")
	case 7000215, 70002, 50012:
		return refused("the client secret of "+app+" is not valid",
			"store the secret's value (not its id) from Certificates & secrets in "+l.Settings+"; if it is lost, make a new one")
	case 7000222:
		return refused("the client secret of "+app+" has expired",
			"make a new secret under Certificates & secrets of the app registration and store it in "+l.Settings)
	case 700027, 7000214, 700030, 7000274, 7000277:
		return refused("the certificate of the login does not belong to "+app+" or is not valid any more",
			"upload the certificate under Certificates & secrets of the app registration, or store another one in "+l.Settings)
	case 1000502:
		return refused("the certificate of the login to "+app+" has expired or is not valid yet",
			"make a new certificate, upload it under Certificates & secrets of the app registration, and store it in "+l.Settings)
	case 700024:
		return refused("the proof of the login to "+app+" is not within its time",
			"set the clock of the worker's machine; if it is right, renew the certificate, or the token of the worker's workload identity")
	case 70021, 700211, 700212, 700213, 7002131:
		return refused(app+" has no federated credential for the worker's workload identity",
			"compare issuer, subject and audience of the worker's service account with Certificates & secrets, Federated credentials, of the app registration")
	case 500011, 500014, 50001, 650053, 650054:
		return refused(fmt.Sprintf("%s has no %s", tenant, l.Resource.Name), l.Resource.Check)
	case 65001, 650057, 650056:
		return refused(fmt.Sprintf("%s has no permission for %s in the tenant", app, l.Resource.API),
			fmt.Sprintf("add %s under API permissions of the app registration and grant admin consent", l.Resource.API))
	case 50105, 501051:
		return refused(fmt.Sprintf("%s is not assigned to %s, which the tenant demands", app, l.Resource.API),
			fmt.Sprintf("assign it, or turn \"Assignment required\" off, under Enterprise applications, %s, in Microsoft Entra", l.Resource.API))
	case 7000112, 70001:
		return refused(app+" is disabled", "enable it under Enterprise applications in Microsoft Entra")
	case 53003, 530031, 530035:
		return refused("a Conditional Access policy blocks the login of "+app,
			"let the policy allow the app, or the worker's address")
	case 900382:
		return refused(tenant+" belongs to another cloud than "+l.Authority,
			"set the login's authority to that of the tenant's cloud, such as https://login.microsoftonline.us")
	case 90033, 90006, 90012, 90090, 50033, 50196:
		return &PassingError{fmt.Sprintf("the login at %s has a passing fault (AADSTS%d)", l.Authority, code)}
	case 0:
		return refused(fmt.Sprintf("the login is refused (%s)", notPlain.ReplaceAllString(name, "")),
			"check tenant, client id and secret in "+l.Settings)
	}
	return refused(fmt.Sprintf("the login is refused with AADSTS%d", code),
		fmt.Sprintf("look the code up at https://login.microsoftonline.com/error?code=%d and correct the app registration", code))
}

// notPlain is what has no place in the name of an error.
var notPlain = regexp.MustCompile(`[^0-9A-Za-z_.-]+|^.{80,}$`)
