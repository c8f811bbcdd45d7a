import type { CommandShape } from "./command-shape.ts";

/** In single quotes, for bash and zsh. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** `where` as the scripts keep it: the commands so far, a space between. */
function whereOf(shape: CommandShape): string {
  return shape.path.join(" ");
}

/** The steps from one command to a command below it, as `WHERE WORD`. */
function stepsOf(shapes: readonly CommandShape[]): string[] {
  return shapes.flatMap((shape) => shape.commands.map(({ name }) => `${whereOf(shape)} ${name}`));
}

function wordsOf({ commands, options, choices }: CommandShape): string[] {
  return [...commands.map(({ name }) => name), ...choices, ...options.flatMap(({ flags }) => flags)];
}

/** For bash and zsh: one `case` branch for each option that takes a value. */
function valueBranches(
  shapes: readonly CommandShape[],
  branch: (choices: readonly string[] | undefined) => string,
): string {
  const lines = shapes.flatMap((shape) =>
    shape.options.flatMap(({ flags, value }) => {
      if (value === "none") return [];
      const patterns = flags.map((flag) => quoted(`${whereOf(shape)}:${flag}`)).join("|");
      return [`    ${patterns}) ${branch(value === "text" ? undefined : value)}; return ;;`];
    }),
  );
  return lines.join("\n");
}

export function bashScript(shapes: readonly CommandShape[]): string {
  const words = shapes.map(
    (shape) => `    ${quoted(whereOf(shape))}) words=${quoted(wordsOf(shape).join(" "))} ;;`,
  );
  // "-o default" completes file names wherever nothing is offered.
  return `# bash completion for postern
_postern() {
  local current=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} where='' word words=''
  COMPREPLY=()
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$where $word" in
      ${stepsOf(shapes).map(quoted).join("|")}) where="\${where:+$where }$word" ;;
    esac
  done
  case "$where:$before" in
${valueBranches(shapes, (choices) => (choices === undefined ? ":" : `COMPREPLY=($(compgen -W ${quoted(choices.join(" "))} -- "$current"))`))}
  esac
  case "$where" in
${words.join("\n")}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _postern postern
`;
}

export function zshScript(shapes: readonly CommandShape[]): string {
  const described = (name: string, text: string): string => quoted(`${name}:${text.replaceAll(":", "\\:")}`);
  const branches = shapes.map((shape) => {
    const offers = [
      ...shape.commands.map(({ name, summary }) => described(name, summary)),
      ...shape.choices.map((choice) => described(choice, "")),
      ...shape.options.flatMap(({ flags, description }) => flags.map((flag) => described(flag, description))),
    ];
    return `    ${quoted(whereOf(shape))}) offers=(${offers.join(" ")}) ;;`;
  });
  return `#compdef postern
_postern() {
  local where='' word
  local -a offers
  for word in \${words[2,CURRENT-1]}; do
    case "$where $word" in
      ${stepsOf(shapes).map(quoted).join("|")}) where="\${where:+$where }$word" ;;
    esac
  done
  case "$where:\${words[CURRENT-1]}" in
${valueBranches(shapes, (choices) => (choices === undefined ? "_files" : `compadd -- ${choices.join(" ")}`))}
  esac
  case "$where" in
${branches.join("\n")}
  esac
  _describe postern offers || _files
}
if [ "$funcstack[1]" = "_postern" ]; then
  _postern "$@"
else
  compdef _postern postern
fi
`;
}

export function fishScript(shapes: readonly CommandShape[]): string {
  const text = (value: string): string => `'${value.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
  const lines = shapes.flatMap((shape) => {
    const at = `complete -c postern -n ${text(`__postern_at '${whereOf(shape)}'`)}`;
    return [
      ...shape.commands.map(({ name, summary }) => `${at} -f -a ${name} -d ${text(summary)}`),
      ...(shape.choices.length === 0 ? [] : [`${at} -f -a ${text(shape.choices.join(" "))}`]),
      ...shape.options.map(({ flags, description, value }) => {
        const names = flags.map((flag) =>
          flag.startsWith("--") ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`,
        );
        const follows = value === "none" ? "" : value === "text" ? " -r" : ` -x -a ${text(value.join(" "))}`;
        return `${at} ${names.join(" ")}${follows} -d ${text(description)}`;
      }),
    ];
  });
  return `# fish completion for postern
function __postern_at
  set -l where ''
  for word in (commandline -opc)[2..-1]
    switch "$where $word"
      case ${stepsOf(shapes).map(text).join(" ")}
        set where (string trim "$where $word")
    end
  end
  test "$where" = "$argv[1]"
end
${lines.join("\n")}
`;
}
