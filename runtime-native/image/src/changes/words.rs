use crate::error::{ImageError, Result};

/// Splits at blanks outside of quotes; quotes and backslashes stay.
pub(super) fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (None, c) if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            (None | Some('"'), '\\') => {
                word.push(c);
                if let Some(next) = chars.next() {
                    word.push(next);
                }
                continue;
            }
            _ => {}
        }
        word.push(c);
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// Takes quotes off and puts variables in, as a shell would.
pub(super) fn expand(text: &str, env: &[String]) -> Result<String> {
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    let mut double = false;
    while let Some(c) = chars.next() {
        match c {
            '\'' if !double => loop {
                match chars.next() {
                    Some('\'') => break,
                    Some(c) => out.push(c),
                    None => return Err(unterminated(text)),
                }
            },
            '"' => double = !double,
            '\\' => match chars.next() {
                Some(c) if double && !matches!(c, '"' | '\\' | '$') => {
                    out.push('\\');
                    out.push(c);
                }
                Some(c) => out.push(c),
                None => out.push('\\'),
            },
            '$' => match chars.peek() {
                Some('{') => {
                    chars.next();
                    let mut inside = String::new();
                    loop {
                        match chars.next() {
                            Some('}') => break,
                            Some(c) => inside.push(c),
                            None => return Err(unterminated(text)),
                        }
                    }
                    out.push_str(&braced(&inside, env)?);
                }
                Some(c) if c.is_ascii_alphabetic() || *c == '_' => {
                    let mut name = String::new();
                    while let Some(c) = chars.peek().filter(|c| c.is_ascii_alphanumeric() || **c == '_') {
                        name.push(*c);
                        chars.next();
                    }
                    out.push_str(lookup(&name, env).unwrap_or(""));
                }
                _ => out.push('$'),
            },
            c => out.push(c),
        }
    }
    if double {
        return Err(unterminated(text));
    }
    Ok(out)
}

fn braced(inside: &str, env: &[String]) -> Result<String> {
    let end = inside
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(inside.len());
    let (name, operator) = inside.split_at(end);
    let value = lookup(name, env);
    let filled = value.filter(|v| !v.is_empty());
    if let Some(word) = operator.strip_prefix(":-") {
        return filled.map_or_else(|| expand(word, env), |v| Ok(v.to_owned()));
    }
    if let Some(word) = operator.strip_prefix(":+") {
        return if filled.is_some() {
            expand(word, env)
        } else {
            Ok(String::new())
        };
    }
    if name.is_empty() || !operator.is_empty() {
        return Err(ImageError::invalid(format!(
            "unsupported substitution ${{{inside}}}"
        )));
    }
    Ok(value.unwrap_or("").to_owned())
}

fn lookup<'a>(name: &str, env: &'a [String]) -> Option<&'a str> {
    env.iter().find_map(|entry| {
        entry
            .split_once('=')
            .filter(|(key, _)| *key == name)
            .map(|(_, value)| value)
    })
}

/// `a=b c="d e"`, or in the old form one name and the rest of the line as its value.
pub(super) fn pairs(instruction: &str, text: &str, env: &[String]) -> Result<Vec<(String, String)>> {
    let words = split(text);
    let first = words.first().map_or("", String::as_str);
    if !first.contains('=') {
        let Some((name, value)) = text.split_once(char::is_whitespace) else {
            return Err(ImageError::invalid(format!(
                "{instruction} must have two arguments"
            )));
        };
        return Ok(vec![(expand(name, env)?, expand(value.trim(), env)?)]);
    }
    words
        .iter()
        .map(|word| {
            let equals = key_end(word).ok_or_else(|| {
                ImageError::invalid(format!(
                    "Syntax error - can't find = in {word:?}. Must be of the form: name=value"
                ))
            })?;
            let key = expand(&word[..equals], env)?;
            if key.is_empty() {
                return Err(ImageError::invalid(format!(
                    "{instruction} names can not be blank"
                )));
            }
            Ok((key, expand(&word[equals + 1..], env)?))
        })
        .collect()
}

/// Where the key ends: the first `=` outside of quotes.
fn key_end(word: &str) -> Option<usize> {
    let mut quote = None;
    for (at, c) in word.char_indices() {
        match (quote, c) {
            (None, '=') => return Some(at),
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            _ => {}
        }
    }
    None
}

fn unterminated(text: &str) -> ImageError {
    ImageError::invalid(format!(
        "unexpected end of statement while looking for the matching quote in {text:?}"
    ))
}
