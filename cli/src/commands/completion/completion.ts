import { Argument, type Command } from "commander";
import type { Context } from "../../context.ts";
import type { Bind } from "../../program.ts";
import { examples } from "../words.ts";

/** `creel completion`: each script asks `creel __complete`, which reads the command tree itself. */
export function completion(command: Command, bind: Bind): void {
  command
    .addArgument(new Argument("<shell>").choices(Object.keys(SCRIPTS)))
    .action(
      bind(({ print }: Context, shell: string) => print(SCRIPTS[shell as keyof typeof SCRIPTS].trim())),
    );
  examples(
    command,
    "creel completion bash > /etc/bash_completion.d/creel",
    "creel completion zsh > /usr/local/share/zsh/site-functions/_creel",
    "creel completion fish > ~/.config/fish/completions/creel.fish",
  );
}

const BASH = String.raw`
# bash completion of creel
_creel() {
  local line=\${COMP_LINE:0:COMP_POINT} cur candidate
  local -a words
  read -ra words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=("")
  cur=\${words[-1]}
  # readline takes : and = for the start of a word
  local kept=\${cur%"\${cur##*[:=]}"}
  COMPREPLY=()
  while IFS=$'\t' read -r candidate _; do
    [[ $candidate == "$cur"* ]] && COMPREPLY+=("\${candidate#"$kept"}")
  done < <("\${words[0]}" __complete -- "\${words[@]:1}" 2>/dev/null)
}
complete -o default -F _creel creel
`.replaceAll("\\$", "$");

const ZSH = String.raw`
#compdef creel
# zsh completion of creel
_creel() {
  local -a found
  local value text
  while IFS=$'\t' read -r value text; do
    found+=("\${value//:/\\:}\${text:+:$text}")
  done < <("\${words[1]}" __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)
  if (( \${#found} )); then
    _describe -o 'creel' found
  else
    _files
  fi
}
if [ "$funcstack[1]" = "_creel" ]; then
  _creel "$@"
else
  compdef _creel creel
fi
`.replaceAll("\\$", "$");

const FISH = `
# fish completion of creel
function __creel_complete
  set -l words (commandline -opc)
  set -l cur (commandline -ct)
  set -l found ($words[1] __complete -- $words[2..] "$cur" 2>/dev/null)
  if test (count $found) -gt 0
    string join \\n -- $found
  else
    __fish_complete_path "$cur"
  end
end
complete -c creel -f -a '(__creel_complete)'
`;

const SCRIPTS = { bash: BASH, zsh: ZSH, fish: FISH };
