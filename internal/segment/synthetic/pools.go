package synthetic

// name is a name and how it is written in an address.
type name struct{ text, ascii string }

type town struct{ city, state, postal string }

// locale is where people come from: what is usual there, not who lives there.
type locale struct {
	given, family []name
	street        []string // with a place for the number
	towns         []town
	country       []string // as people and systems write it
}

var locales = []locale{
	{
		[]name{{"Aoife", "aoife"}, {"Siobhán", "siobhan"}, {"Seán", "sean"}, {"Pádraig", "padraig"}, {"Niamh", "niamh"}},
		[]name{{"O'Brien", "o'brien"}, {"Ní Dhomhnaill", "nidhomhnaill"}, {"O’Sullivan", "osullivan"}, {"Byrne", "byrne"}},
		[]string{"%d Harbour Road", "Flat %d, Mill Lane", "The Old Mill, %d Weir View"},
		[]town{{"Dublin", "Co. Dublin", "D02 X285"}, {"Dún Laoghaire", "", "A96 X2P3"}, {"Cork", "Co. Cork", ""}},
		[]string{"Ireland", "IE", "IRL", "Éire"},
	},
	{
		[]name{{"John", "john"}, {"Mary-Jane", "mary-jane"}, {"DeShawn", "deshawn"}, {"Ava", "ava"}, {"J. R.", "jr"}},
		[]name{{"Smith", "smith"}, {"Johnson", "johnson"}, {"D'Angelo", "dangelo"}, {"McDonald Jr.", "mcdonald"}, {"Null", "null"}},
		[]string{"%d Main Street", "%d Elm St, Apt. 4", "%d \"Old\" Mill Rd"},
		[]town{{"Springfield", "IL", "62701"}, {"St. Louis", "MO", "63101-2345"}, {"New York", "NY", "10001"}, {"Boston", "MA", "02108"}},
		[]string{"US", "USA", "United States", "U.S.A.", "United States of America"},
	},
	{
		[]name{{"Oliver", "oliver"}, {"Amelia", "amelia"}, {"Zoë", "zoe"}, {"Renée", "renee"}},
		[]name{{"Taylor", "taylor"}, {"Smythe-Jones", "smythe-jones"}, {"St John", "stjohn"}, {"Brontë", "bronte"}},
		[]string{"%d High Street", "%d The Green", "Rose Cottage, %d Church Lane"},
		[]town{{"London", "", "SW1A 1AA"}, {"Newcastle upon Tyne", "Tyne and Wear", "NE1 7RU"}, {"Llanfairpwll", "Anglesey", ""}},
		[]string{"GB", "UK", "United Kingdom", "GBR", "Great Britain", "England"},
	},
	{
		[]name{{"Jürgen", "juergen"}, {"Anneliese", "anneliese"}, {"Björn", "bjoern"}, {"Käthe", "kaethe"}},
		[]name{{"Müller", "mueller"}, {"Strauß", "strauss"}, {"von der Heide", "vonderheide"}, {"Groß", "gross"}},
		[]string{"Hauptstraße %d", "Am Mühlbach %d", "Königsallee %da"},
		[]town{{"München", "Bayern", "80331"}, {"Köln", "", "50667"}, {"Görlitz", "Sachsen", "02826"}},
		[]string{"DE", "Germany", "Deutschland", "DEU"},
	},
	{
		[]name{{"Łukasz", "lukasz"}, {"Małgorzata", "malgorzata"}, {"Zofia", "zofia"}, {"Świętopełk", "swietopelk"}},
		[]name{{"Żółkiewski", "zolkiewski"}, {"Kowalska", "kowalska"}, {"Wiśniewska-Nowak", "wisniewska-nowak"}},
		[]string{"ul. Długa %d", "ul. Świętokrzyska %d/3", "al. Róż %d"},
		[]town{{"Łódź", "łódzkie", "90-001"}, {"Kraków", "", "30-001"}, {"Gdańsk", "pomorskie", "80-001"}},
		[]string{"PL", "Poland", "Polska", "POL"},
	},
	{
		[]name{{"François", "francois"}, {"Chloé", "chloe"}, {"Jean-Noël", "jean-noel"}, {"Zoe\u0308", "zoe"}},
		[]name{{"Lefèvre", "lefevre"}, {"d’Artois", "dartois"}, {"Œuvrard", "oeuvrard"}, {"Le Gall", "legall"}},
		[]string{"%d, rue de l'Église", "%d bis, avenue Foch", "%d, place du Marché"},
		[]town{{"Paris", "", "75001"}, {"Besançon", "", "25000"}, {"L'Haÿ-les-Roses", "Île-de-France", "94240"}},
		[]string{"FR", "France", "FRA"},
	},
	{
		[]name{{"María José", "mariajose"}, {"Íñigo", "inigo"}, {"Begoña", "begona"}, {"Agustín", "agustin"}},
		[]name{{"García Núñez", "garcianunez"}, {"Muñoz", "munoz"}, {"de la Peña", "delapena"}},
		[]string{"Calle Mayor, %d", "C/ Ñandú %d, 2º izq.", "Avda. de América %d"},
		[]town{{"Logroño", "La Rioja", "26001"}, {"A Coruña", "", "15001"}, {"Madrid", "Madrid", "28001"}},
		[]string{"ES", "Spain", "España", "ESP"},
	},
	{
		[]name{{"Šarūnas", "sarunas"}, {"Živilė", "zivile"}, {"Jūratė", "jurate"}},
		[]name{{"Žemaitis", "zemaitis"}, {"Kazlauskienė", "kazlauskiene"}, {"Čepaitė", "cepaite"}},
		[]string{"Gedimino pr. %d", "Žvėryno g. %d-2"},
		[]town{{"Vilnius", "", "LT-01103"}, {"Šiauliai", "", "76001"}, {"Kaunas", "Kauno apskr.", "44001"}},
		[]string{"LT", "Lithuania", "Lietuva"},
	},
	{
		[]name{{"İbrahim", "ibrahim"}, {"Ayşe", "ayse"}, {"Gülşen", "gulsen"}, {"Işıl", "isil"}},
		[]name{{"Yıldız", "yildiz"}, {"Öztürk", "ozturk"}, {"Çağlayan", "caglayan"}},
		[]string{"İstiklal Cd. No:%d", "Atatürk Blv. %d/B"},
		[]town{{"İstanbul", "", "34000"}, {"İzmir", "", "35000"}, {"Diyarbakır", "", "21000"}},
		[]string{"TR", "Turkey", "Türkiye", "TUR"},
	},
	{
		[]name{{"花子", "hanako"}, {"太郎", "taro"}, {"さくら", "sakura"}},
		[]name{{"佐藤", "sato"}, {"鈴木", "suzuki"}, {"渡邉", "watanabe"}},
		[]string{"千代田%d丁目", "本町%d-5"},
		[]town{{"東京", "東京都", "100-0001"}, {"大阪", "", "530-0001"}},
		[]string{"JP", "Japan", "日本"},
	},
	{
		[]name{{"Ольга", "olha"}, {"Дмитро", "dmytro"}, {"Їванна", "yivanna"}},
		[]name{{"Шевченко", "shevchenko"}, {"Мар'яненко", "maryanenko"}, {"Ґудзь", "gudz"}},
		[]string{"вул. Хрещатик, %d", "просп. Миру %d"},
		[]town{{"Київ", "", "01001"}, {"Львів", "", "79000"}},
		[]string{"UA", "Ukraine", "Україна"},
	},
	{
		[]name{{"Ελένη", "eleni"}, {"Γιώργος", "giorgos"}},
		[]name{{"Παπαδοπούλου", "papadopoulou"}, {"Ξένος", "xenos"}},
		[]string{"Οδός Ερμού %d", "Πλατεία Συντάγματος %d"},
		[]town{{"Αθήνα", "", "105 57"}, {"Θεσσαλονίκη", "", "546 24"}},
		[]string{"GR", "Greece", "Ελλάδα"},
	},
	{
		[]name{{"نور", "nour"}, {"می\u200cنا", "mina"}, {"אורלי", "orly"}},
		[]name{{"الخطيب", "alkhatib"}, {"כהן", "kohen"}},
		[]string{"شارع السلام %d", "רחוב הרצל %d"},
		[]town{{"عمّان", "", "11181"}, {"حيفا", "", ""}},
		[]string{"Jordan", "JO", "Narnia"},
	},
	{
		[]name{{"Jiří", "jiri"}, {"Božena", "bozena"}, {"Emoji 🎉", "emoji"}},
		[]name{{"Dvořák", "dvorak"}, {"Nováková", "novakova"}, {"Šťastná", "stastna"}},
		[]string{"Na Příkopě %d", "Žižkova %d"},
		[]town{{"Praha", "", "110 00"}, {"Ústí nad Labem", "", "400 01"}},
		[]string{"CZ", "Czech Republic", "Czechia", "Česko"},
	},
}

// domain is a mail domain as it is written and as it is sent.
type domain struct {
	sent    string
	written []string
}

// The plain ones come first: the later ones are rarer.
var domains = []domain{
	{"example.com", []string{"example.com"}},
	{"example.org", []string{"example.org"}},
	{"example.net", []string{"example.net"}},
	{"mail.example.com", []string{"mail.example.com"}},
	{"post.test", []string{"post.test"}},
	{"shop.example", []string{"shop.example"}},
	{"kunden.example.org", []string{"kunden.example.org"}},
	{"web.example.net", []string{"web.example.net"}},
	{"xn--bcher-kva.example", []string{"bücher.example", "Bücher.example", "xn--bcher-kva.example", "bu\u0308cher.example"}},
	{"xn--strae-oqa.example", []string{"straße.example", "xn--strae-oqa.example"}},
	{"xn--d-uga0v4h.example", []string{"łódź.example", "ŁÓDŹ.example"}},
	{"xn--r8jz45g.test", []string{"例え.test", "xn--r8jz45g.test"}},
}

// badAddresses cannot be sent to; NAME stands for a local part.
var badAddresses = []string{
	"NAME", "NAME@", "@example.com", "NAME NAME@example.com", "NAME..x@example.com", ".NAME@example.com", "NAME.@example.com",
	"NAME@example", "NAME@@example.com", "NAME@example.com@example.org", "żółw.NAME@example.com", "Anna <NAME@example.com",
	"NAME@example.com; second@example.com", "NAME@example.com,second@example.com", "NAME@-example.com", "NAME@192.0.2.1",
	"NAME@[192.0.2.1]", "NAME@exam_ple.com", "NAME＠example.com", "\"NAME\"@example.com", "x", "unknown", "NAME@example..com",
	"NAME(at)example.com", "NAME@example.com..", "NAME@\nexample.com",
}

var (
	consentValues = []string{"true", "true", "1", "yes", "subscribed", "TRUE", "Yes", " yes ", "Subscribed"}
	refusalValues = []string{"false", "no", "0", "", "FALSE", "No"}
	optOutValues  = []string{"unsubscribed", "opted-out", "Unsubscribed", "Opted-Out"}
	oddValues     = []string{"maybe", "y", "on", "pending", "opt-in", "ja", "✓", "2", "true?", "nan"}
	badDates      = []string{"03/04/2023", "last spring", "2023-02-30", "45016", "12/5/21", "once"}
	futureDates   = []string{"2999-01-01", "2999-12-31T23:59:59Z", "9999-12-31 00:00:00"}
	dateLayouts   = []string{"2006-01-02", "2006-01-02T15:04:05Z07:00", "2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02T15:04:05.000Z07:00"}
	tiers         = []string{"", "bronze", "silver", "gold", "platinum, \"by invitation\""}
)
