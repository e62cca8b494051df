import assert from "node:assert/strict";
import { template } from "../src/template/mod.ts";

const data = {
  Name: "web",
  Count: 3,
  None: null,
  On: true,
  List: ["a", "b"],
  Map: { z: 1, "a.b": "dotted" },
  Ports: [{ P: 80 }, { P: 90 }],
  Label: (name: string) => `label ${name}`,
};

describe("templates", () => {
  const same: [string, string][] = [
    ["plain", "plain"],
    ["{{.Name}}/{{.Count}}/{{.On}}", "web/3/true"],
    ["{{.List}} {{.Map}} {{.None}}", "[a b] map[a.b:dotted z:1] <no value>"],
    ["{{json .List}} {{json .None}} {{.Map|json}}", '["a","b"] null {"z":1,"a.b":"dotted"}'],
    ['{{index .Map "a.b"}} {{index .List 1}} {{(index .Ports 1).P}}', "dotted b 90"],
    ['{{.Label "x"}} {{.Label "x" | upper}}', "label x LABEL X"],
    ["{{range .Ports}}{{.P}};{{end}}", "80;90;"],
    ["{{range $i, $p := .Ports}}{{if $i}}, {{end}}{{$p.P}}{{end}}", "80, 90"],
    ["{{range $key, $value := .Map}}{{$key}}={{$value}} {{end}}", "a.b=dotted z=1 "],
    ["{{range .None}}x{{else}}nothing{{end}}", "nothing"],
    ["{{range .Ports}}{{if eq .P 90}}{{break}}{{end}}{{.P}}{{end}}", "80"],
    ["{{range .Ports}}{{if eq .P 80}}{{continue}}{{end}}{{.P}}{{end}}", "90"],
    ["{{range .Ports}}{{$.Name}}{{end}}", "webweb"],
    ["{{if .None}}a{{else if .On}}b{{else}}c{{end}}", "b"],
    ["{{with .Map}}{{.z}}{{else}}-{{end}}{{with .None}}x{{else}}-{{end}}", "1-"],
    ["{{$x := .Count}}{{if .On}}{{$x = 4}}{{end}}{{$x}}", "4"],
    ['{{and .On .Name}} {{or .None "else"}} {{not .On}}', "web else false"],
    [
      '{{eq .Name "a" "web"}} {{ne .Count 3}} {{lt 1 2}} {{ge 1 2}} {{le 2 2}} {{gt 3 2}}',
      "true false true false true true",
    ],
    ["{{len .List}} {{len .Name}} {{len .Map}}", "2 3 2"],
    ['{{join .List ","}} {{split "a,b" "," | len}} {{title "ab cd"}} {{lower "AB"}}', "a,b 2 Ab Cd ab"],
    ["{{pad .Name 1 2}}|{{truncate .Name 2}}|{{slice .Name 1 2}}", " web  |we|e"],
    [
      '{{printf "%s %d %5d|%-5s|%05.1f %q %v %t %x" .Name .Count .Count .Name 2.25 .Name .List .On 255}}',
      'web 3     3|web  |002.3 "web" [a b] true ff',
    ],
    ['{{printf "%d" .Name}} {{printf "%s"}}', "%!d(string=web) %!s(MISSING)"],
    ['{{print 1 2 "a" "b" 3}}{{println .Name}}', "1 2ab3web\n"],
    ["a  {{- .Name -}}  b", "awebb"],
    ["a {{- /* said to nobody */ -}} b", "ab"],
    ['{{`raw "text"`}} {{"tab\\t"}} {{\'a\'}}', 'raw "text" tab\t 97'],
    ["{{if or (eq .Count 1) (and .On (gt .Count 2))}}yes{{end}}", "yes"],
    ['{{"<a>" | html}} {{urlquery "a b"}}', "&#60;a&#62; a%20b"],
  ];
  for (const [source, wanted] of same) {
    it(source, () => assert.equal(template(source)(data), wanted));
  }

  const wrong: [string, RegExp][] = [
    ["{{.Name", /unclosed action/],
    ['{{"open}}', /unterminated quoted string/],
    ["{{if .On}}x", /\{\{end\}\} is missing/],
    ["x{{end}}", /unexpected \{\{end\}\}/],
    ["{{else}}", /unexpected \{\{else\}\}/],
    ["{{break}}", /outside \{\{range\}\}/],
    ["{{}}", /missing value for command/],
    ["{{(.Name}}", /unclosed left paren/],
    ["{{.Name | nothing}}", /function "nothing" not defined/],
    ["{{constructor}}", /function "constructor" not defined/],
    ["{{.constructor}}", /map has no entry for key "constructor"/],
    ["{{.Nope}}", /at <\.Nope>: map has no entry for key "Nope"/],
    ["{{.Map.z.y}}", /can't evaluate field y/],
    ["{{.None.x}}", /nil data; no entry for key "x"/],
    ["{{.Name 1}}", /can't give argument to non-function \.Name/],
    ["{{index .List 9}}", /index out of range: 9/],
    ["{{$nope}}", /undefined variable "\$nope"/],
    ["{{lt .Name 1}}", /incompatible types/],
    ["{{len 3}}", /len of number/],
    ['{{template "x"}}', /not supported/],
  ];
  for (const [source, why] of wrong) {
    it(`refuses ${source}`, () => {
      assert.throws(
        () => template(source)(data),
        (error: Error) => /^template parsing error: /.test(error.message) && why.test(error.message),
      );
    });
  }
});
