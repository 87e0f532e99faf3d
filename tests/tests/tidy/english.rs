//! Measures of the English in docs: the shares of first sentences that open with a question word,
//! or rest on a pronoun. Such a sentence makes a reader look elsewhere for its subject.
//!
//! CONTRIBUTING.md has the rules that the measures stand for.

use super::source::Source;

const QUESTION_WORDS: [&str; 9] =
    ["what", "whether", "who", "whose", "how", "where", "when", "which", "why"];
const PRONOUNS: [&str; 4] = ["it", "they", "that", "those"];

/// A first sentence of a doc comment, with its place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sentence {
    pub(crate) place: String,
    pub(crate) text: String,
}

impl Sentence {
    fn words(&self) -> impl Iterator<Item = String> + '_ {
        let words = self.text.split(|c: char| !c.is_alphanumeric() && c != '\'');
        words.filter(|word| !word.is_empty()).map(str::to_lowercase)
    }

    /// Returns whether the sentence opens with a question word.
    pub(crate) fn opens_with_a_question_word(&self) -> bool {
        self.words().next().is_some_and(|word| QUESTION_WORDS.contains(&word.as_str()))
    }

    /// Returns whether the sentence has a pronoun that another sentence or line may have to
    /// explain.
    pub(crate) fn rests_on_a_pronoun(&self) -> bool {
        self.words().any(|word| PRONOUNS.contains(&word.as_str()))
    }
}

/// Returns the first sentence of each doc comment of a file.
pub(crate) fn first_sentences(source: &Source) -> Vec<Sentence> {
    let mut sentences = Vec::new();
    let mut comment: Option<(usize, String)> = None;
    let mut is_over = false;
    for (at, line) in source.text.lines().chain([""]).enumerate() {
        let Some(text) = doc_text(line.trim()) else {
            if let Some((start, text)) = comment.take() {
                sentences.extend(sentence(source, start, &text));
            }
            is_over = false;
            continue;
        };
        let (_, whole) = comment.get_or_insert_with(|| (at + 1, String::new()));
        // Only the first paragraph.
        is_over |= text.is_empty();
        if !is_over {
            whole.push_str(text);
            whole.push(' ');
        }
    }
    sentences
}

fn doc_text(line: &str) -> Option<&str> {
    let text = line.strip_prefix("//!").or_else(|| line.strip_prefix("///"))?;
    (!text.starts_with('/')).then(|| text.trim())
}

fn sentence(source: &Source, line: usize, paragraph: &str) -> Option<Sentence> {
    let ends = [". ", ": ", "; ", "! ", "? "].iter().filter_map(|end| paragraph.find(end)).min();
    let text = paragraph[..ends.unwrap_or(paragraph.len())].trim();
    let place = format!("{}:{line}", source.path);
    (!text.is_empty() && !text.starts_with('#')).then(|| Sentence { place, text: text.to_owned() })
}

/// Returns the percentage of sentences for which a predicate holds.
pub(crate) fn per_cent(sentences: &[Sentence], holds: impl Fn(&Sentence) -> bool) -> f64 {
    let found = sentences.iter().filter(|sentence| holds(sentence)).count();
    100.0 * found as f64 / sentences.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sentence_of_each_comment_is_found() {
        let text = "//! A module. Of it more.\n\n/// Returns a\n/// name: one.\nfn f() {}\n// no doc\n\
                    /// # Errors\n/// Never.\n";
        let found = first_sentences(&Source::new("a.rs", text));
        let texts: Vec<_> = found.iter().map(|it| (&*it.place, &*it.text)).collect();
        assert_eq!(texts, [("a.rs:1", "A module"), ("a.rs:3", "Returns a name")]);
    }

    #[test]
    fn question_words_and_pronouns_are_found() {
        let of = |text: &str| Sentence { place: String::new(), text: text.to_owned() };
        assert!(of("What it holds").opens_with_a_question_word());
        assert!(of("What it holds").rests_on_a_pronoun());
        assert!(!of("Returns what a pack holds").opens_with_a_question_word());
        assert!(!of("Splits a unit").rests_on_a_pronoun(), "a word is a whole word");
        assert_eq!(per_cent(&[of("How"), of("Now")], Sentence::opens_with_a_question_word), 50.0);
    }
}
