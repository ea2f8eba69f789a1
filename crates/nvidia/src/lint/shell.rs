//! Commands in shell scripts and in fenced code blocks of Markdown.

/// A word of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    /// Without quotes and escapes.
    pub(super) text: String,
    /// Counted from 1.
    pub(super) line: u64,
    /// Counted from 1, in characters.
    pub(super) column: u64,
}

/// The commands of a shell script.
pub(super) fn script_commands(text: &str) -> Vec<Vec<Word>> {
    commands(text, 1)
}

/// The commands in the fenced code blocks of a Markdown document. Prose is never read: a sentence
/// about a command is not a command that installs anything.
pub(super) fn markdown_commands(text: &str) -> Vec<Vec<Word>> {
    fenced_blocks(text)
        .into_iter()
        .flat_map(|(line, block)| commands(&block, line))
        .collect()
}

/// The text of each fenced code block and the line on which it starts. As in `CommonMark`, a
/// closing fence has the same character as the opening fence and at least its length, and a block
/// without a closing fence extends to the end of the document.
fn fenced_blocks(text: &str) -> Vec<(u64, String)> {
    let mut blocks: Vec<(u64, String)> = Vec::new();
    let mut open: Option<(char, usize)> = None;
    for (number, line) in (1..).zip(text.lines()) {
        match (open, fence(line)) {
            (None, Some((character, length, _))) => {
                open = Some((character, length));
                blocks.push((number + 1, String::new()));
            }
            (Some((character, length)), Some((closing, closing_length, "")))
                if closing == character && closing_length >= length =>
            {
                open = None;
            }
            (Some(_), _) => {
                if let Some((_, block)) = blocks.last_mut() {
                    block.push_str(line);
                    block.push('\n');
                }
            }
            (None, None) => {}
        }
    }
    blocks
}

/// The character and length of a fence, and the text after it. Any indentation is accepted, since
/// blocks in lists are indented.
fn fence(line: &str) -> Option<(char, usize, &str)> {
    let line = line.trim();
    let character = line.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let info = line.trim_start_matches(character);
    let length = line.len() - info.len();
    // An info string with a backtick makes the line inline code.
    (length >= 3 && !(character == '`' && info.contains('`'))).then_some((character, length, info))
}

/// Splits a script into commands and words. Supports quotes, escapes, comments, line continuations
/// and the separators `;`, `&` and `|`; expansions and here-documents are left as they are.
fn commands(text: &str, first_line: u64) -> Vec<Vec<Word>> {
    let mut commands: Vec<Vec<Word>> = vec![Vec::new()];
    let mut word: Option<Word> = None;
    let mut quote: Option<char> = None;
    let (mut line, mut column) = (first_line, 0);
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        column += 1;
        let position = (line, column);
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (None, '\'' | '"') => {
                push(&mut word, position, None);
                quote = Some(c);
            }
            (None | Some('"'), '\\') => match characters.next() {
                Some('\n') => (line, column) = (line + 1, 0),
                Some(next) => {
                    // In double quotes the shell keeps most backslashes, such as the one that helm
                    // expects before a dot.
                    if quote.is_some() && !matches!(next, '"' | '\\' | '$' | '`') {
                        push(&mut word, position, Some('\\'));
                    }
                    push(&mut word, position, Some(next));
                    column += 1;
                }
                None => {}
            },
            (None, '#') if word.is_none() => while characters.next_if(|c| *c != '\n').is_some() {},
            (None, '\n' | ';' | '&' | '|') => {
                if let Some(words) = commands.last_mut() {
                    words.extend(word.take());
                }
                commands.push(Vec::new());
            }
            (None, c) if c.is_whitespace() => {
                if let Some(words) = commands.last_mut() {
                    words.extend(word.take());
                }
            }
            _ => push(&mut word, position, Some(c)),
        }
        if c == '\n' {
            (line, column) = (line + 1, 0);
        }
    }
    if let Some(words) = commands.last_mut() {
        words.extend(word);
    }
    commands
}

/// Adds a character to the word, or starts a word at this position. An opening quote starts a word
/// without adding a character.
fn push(word: &mut Option<Word>, (line, column): (u64, u64), c: Option<char>) {
    let word = word.get_or_insert(Word {
        text: String::new(),
        line,
        column,
    });
    word.text.extend(c);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(commands: &[Vec<Word>]) -> Vec<Vec<&str>> {
        commands
            .iter()
            .filter(|words| !words.is_empty())
            .map(|words| words.iter().map(|word| word.text.as_str()).collect())
            .collect()
    }

    #[test]
    fn scripts_are_split_into_commands_and_words() {
        let commands = script_commands("a 'b c' d\\ e # f\ng; h|i && j \\\n  \"k\\.l\"\n");
        assert_eq!(
            texts(&commands),
            [
                vec!["a", "b c", "d e"],
                vec!["g"],
                vec!["h"],
                vec!["i"],
                vec!["j", "k\\.l"]
            ]
        );
    }

    #[test]
    fn markdown_prose_is_not_read() {
        let text = "Don't run `helm a` yet.\n\nhelm b\n\n    ```sh\n    helm c 'd\n    ```\n\nhelm e\n\n~~~~\nhelm f\n~~~\nhelm g\n~~~~\n``` inline ``` helm h\n```\nhelm i";
        let commands = markdown_commands(text);
        assert_eq!(
            texts(&commands),
            [
                // The unclosed quote ends with its block.
                vec!["helm", "c", "d\n"],
                vec!["helm", "f"],
                vec!["~~~"],
                vec!["helm", "g"],
                vec!["helm", "i"]
            ]
        );
        let first = commands.iter().flatten().next().map(|word| (word.line, word.column));
        assert_eq!(first, Some((6, 5)));
    }
}
