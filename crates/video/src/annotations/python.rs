use std::iter::Peekable;
use std::str::Chars;

/// The texts of a Python list literal such as `['tap', "cook's knife"]`; `None` for anything else.
pub(super) fn texts(list: &str) -> Option<Vec<String>> {
    items(list, |chars| {
        let quote = chars.next().filter(|c| matches!(c, '\'' | '"'))?;
        let mut text = String::new();
        loop {
            match chars.next()? {
                c if c == quote => return Some(text),
                // What `repr` escapes in printable text.
                '\\' => text.push(chars.next().filter(|c| matches!(c, '\'' | '"' | '\\'))?),
                c => text.push(c),
            }
        }
    })
}

/// The numbers of a Python list literal such as `[3, 114]`.
pub(super) fn numbers(list: &str) -> Option<Vec<u32>> {
    items(list, |chars| {
        let mut digits = String::new();
        while let Some(digit) = chars.next_if(char::is_ascii_digit) {
            digits.push(digit);
        }
        digits.parse().ok()
    })
}

fn items<T>(list: &str, item: impl Fn(&mut Peekable<Chars<'_>>) -> Option<T>) -> Option<Vec<T>> {
    let mut chars = list.trim().strip_prefix('[')?.strip_suffix(']')?.chars().peekable();
    let skip_spaces = |chars: &mut Peekable<Chars<'_>>| while chars.next_if_eq(&' ').is_some() {};
    let mut found = Vec::new();
    skip_spaces(&mut chars);
    while chars.peek().is_some() {
        found.push(item(&mut chars)?);
        skip_spaces(&mut chars);
        match chars.next() {
            None => break,
            Some(',') => skip_spaces(&mut chars),
            Some(_) => return None,
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    // What `ast.literal_eval` says of the same texts.
    #[test]
    fn lists_read_as_python_reads_them() {
        let expect = |list: &str, expected: &[&str]| assert_eq!(texts(list).unwrap(), expected, "{list}");
        expect("[]", &[]);
        expect("['tap:hot']", &["tap:hot"]);
        expect(r#"['a, b' , "cook's", 'it\'s', "\\"]"#, &["a, b", "cook's", "it's", "\\"]);
        expect("['a',]", &["a"]);
        assert_eq!(numbers("[3, 114]"), Some(vec![3, 114]));
        assert_eq!(numbers("[]"), Some(vec![]));
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for list in ["", "[", "tap", "['a'", "['a' 'b']", "['a]", "[a]", "['a'],", "[,]", "['\\x41']", "['a\\']"] {
            assert_eq!(texts(list), None, "{list}");
        }
        for list in ["[x]", "[-1]", "[1.5]", "[4294967296]", "['1']", "[1 2]"] {
            assert_eq!(numbers(list), None, "{list}");
        }
    }
}
