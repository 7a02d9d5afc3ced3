//! One form for names that some programs and systems take for one: accents that are one character or two (macOS, and
//! libarchive everywhere), and letters of both cases (Windows, macOS).
//!
//! Cases are folded for Latin, Greek, Cyrillic, Armenian and full-width letters. Accents are taken apart for Latin, Greek
//! and Cyrillic letters, kana and hangul. Other scripts have no cases, with few exceptions, and are compared as they are.
//! Tables of all of Unicode would be larger than the rest of this check.

/// A mark, then the letters that it makes, each before the letter without it. Source: UnicodeData.txt of Unicode 15.
const COMPOSITIONS: &str = "\
    \u{300}àaèeìiòoùuǜüǹnѐеѝиḕēṑōẁwầâằăềêồôờơừưỳy\
    \u{301}áaéeíióoúuýyćcĺlńnŕrśsźzǘüǵgǻåǽæǿøΐϊάαέεήηίιΰϋόούυώωѓгќкḉçḗēḯïḱkḿmṍõṓōṕpṹũẃwấâắăếê\
    ốôớơứư\
    \u{302}âaêeîiôoûuĉcĝgĥhĵjŝsŵwŷyẑzậạệẹộọ\
    \u{303}ãañnõoĩiũuṽvẫâẵăẽeễêỗôỡơữưỹy\
    \u{304}āaēeīiōoūuǖüǟäǡȧǣæǭǫȫöȭõȱȯȳyӣиӯуḡgḹḷṝṛ\
    \u{306}ăaĕeğgĭiŏoŭuйиўуӂжӑаӗеḝȩặạ\
    \u{307}ċcėeġgżzȧaȯoḃbḋdḟfḣhṁmṅnṗpṙrṡsṥśṧšṩṣṫtẇwẋxẏyẛſ\
    \u{308}äaëeïiöoüuÿyϊιϋυёеїіӓаӛәӝжӟзӥиӧоӫөӭэӱуӵчӹыḧhṏõṻūẅwẍxẗt\
    \u{309}ảaẩâẳăẻeểêỉiỏoổôởơủuửưỷy\
    \u{30a}åaůuẘwẙy\
    \u{30b}őoűuӳу\
    \u{30c}čcďděeľlňnřršsťtžzǎaǐiǒoǔuǚüǧgǩkǯʒǰjȟh\
    \u{30f}ȁaȅeȉiȍoȑrȕuѷѵ\
    \u{311}ȃaȇeȋiȏoȓrȗu\
    \u{31b}ơoưu\
    \u{323}ḅbḍdḥhḳkḷlṃmṇnṛrṣsṭtṿvẉwẓzạaẹeịiọoợơụuựưỵy\
    \u{324}ṳu\
    \u{325}ḁa\
    \u{326}șsțt\
    \u{327}çcģgķkļlņnŗrşsţtȩeḑdḩh\
    \u{328}ąaęeįiųuǫo\
    \u{32d}ḓdḙeḽlṋnṱtṷu\
    \u{32e}ḫh\
    \u{330}ḛeḭiṵu\
    \u{331}ḇbḏdḵkḻlṉnṟrṯtẕzẖh\
    \u{3099}がかぎきぐくげけごこざさじしずすぜせぞそだたぢちづつでてどとばはびひぶふべへぼほ\
    ゔうゞゝガカギキグクゲケゴコザサジシズスゼセゾソダタヂチヅツデテドトバハビヒブフベヘボホ\
    ヴウヷワヸヰヹヱヺヲヾヽ\
    \u{309a}ぱはぴひぷふぺへぽほパハピヒプフペヘポホ\
    ";

/// Stands before a capital letter where cases matter. No safe name contains it.
const CAPITAL: char = '\0';

/// The compositions, sorted.
pub(super) struct Fold(Vec<(char, [char; 2])>);

impl Fold {
    pub(super) fn new() -> Fold {
        let mut compositions = Vec::new();
        let mut mark = ' ';
        let mut chars = COMPOSITIONS.chars();
        while let Some(c) = chars.next() {
            match chars.clone().next() {
                _ if is_mark(c) => mark = c,
                Some(base) => {
                    compositions.push((c, [base, mark]));
                    chars.next();
                }
                None => {}
            }
        }
        compositions.sort_unstable();
        Fold(compositions)
    }

    /// Puts the form of a part of a path into `folded`. `cases`: letters of both cases stay apart, and so do dots and
    /// blanks at the end, which Windows drops.
    pub(super) fn part(&self, part: &[u8], cases: bool, folded: &mut Vec<char>) {
        folded.clear();
        let push = |c: char| {
            let lower = lower(c);
            if cases && lower != c {
                folded.push(CAPITAL);
            }
            self.push(lower, folded);
        };
        match std::str::from_utf8(part) {
            Ok(text) => text.chars().for_each(push),
            // Another character set than UTF-8. Each byte becomes some character, which is all that comparing needs.
            Err(_) => part.iter().map(|byte| other_set(*byte)).for_each(push),
        }
        // Marks may stand in any order.
        for run in folded.chunk_by_mut(|one, other| is_mark(*one) && is_mark(*other)) {
            run.sort_unstable();
        }
        while !cases && matches!(folded.last(), Some('.' | ' ')) {
            folded.pop();
        }
    }

    fn push(&self, c: char, out: &mut Vec<char>) {
        if c.is_ascii() {
            return out.push(c);
        }
        if let Some(jamo) = hangul(c) {
            return out.extend(jamo.into_iter().flatten());
        }
        match self.0.binary_search_by_key(&c, |(composed, _)| *composed) {
            // A letter can have two marks, of which the table has one at a time.
            Ok(at) => {
                let [base, mark] = self.0.get(at).map_or([c, c], |(_, pair)| *pair);
                self.push(base, out);
                out.push(mark);
            }
            Err(_) => out.push(c),
        }
    }
}

/// A character for a byte of an unknown character set: private ones for what is not in ASCII.
fn other_set(byte: u8) -> char {
    let code = if byte.is_ascii() { 0 } else { 0xf700 } + u32::from(byte);
    char::from_u32(code).unwrap_or_default()
}

fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{3099}' | '\u{309a}')
}

/// The lower-case letter.
fn lower(c: char) -> char {
    let code = u32::from(c);
    let lower = match code {
        0x41..=0x5a | 0xc0..=0xd6 | 0xd8..=0xde | 0x391..=0x3a9 | 0x410..=0x42f => code + 32,
        0xff21..=0xff3a => code + 32,
        // Capital letters are even here, and odd there.
        0x100..=0x137 | 0x14a..=0x177 | 0x1de..=0x1ef | 0x1f8..=0x233 => code | 1,
        0x460..=0x481 | 0x48a..=0x4bf | 0x4d0..=0x52f | 0x1e00..=0x1e95 | 0x1ea0..=0x1eff => {
            code | 1
        }
        0x139..=0x148 | 0x179..=0x17e | 0x1cd..=0x1dc | 0x4c1..=0x4ce => code + code % 2,
        0x178 => 0xff,
        0x17f => 0x73,
        0xb5 => 0x3bc,
        0x386 => 0x3ac,
        0x388..=0x38a => code + 37,
        0x38c => 0x3cc,
        0x38e | 0x38f => code + 63,
        0x3aa | 0x3ab => code + 32,
        // A sigma at the end of a word.
        0x3c2 => 0x3c3,
        0x400..=0x40f => code + 80,
        0x4c0 => 0x4cf,
        0x531..=0x556 => code + 48,
        // The signs for ohm, kelvin and angstrom are letters.
        0x2126 => 0x3c9,
        0x212a => 0x6b,
        0x212b => 0xe5,
        _ => code,
    };
    char::from_u32(lower).unwrap_or(c)
}

/// The two or three letters of a Korean syllable.
fn hangul(c: char) -> Option<[Option<char>; 3]> {
    const FIRST: u32 = 0xac00;
    const LAST: u32 = 0xd7a3;
    let code = u32::from(c);
    let index = code.checked_sub(FIRST).filter(|_| code <= LAST)?;
    let tail = index % 28;
    let tail = (tail > 0).then_some(0x11a7 + tail);
    let jamo = [Some(0x1100 + index / 588), Some(0x1161 + index % 588 / 28), tail];
    Some(jamo.map(|letter| letter.and_then(char::from_u32)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(fold: &Fold, name: &[u8], cases: bool) -> Vec<char> {
        let mut folded = Vec::new();
        fold.part(name, cases, &mut folded);
        folded
    }

    #[test]
    fn names_that_macos_or_windows_take_for_one_have_one_form() {
        let fold = Fold::new();
        let form = |name: &str| form(&fold, name.as_bytes(), false);
        for (one, other) in [
            ("File.TXT", "fILE.txt"),
            ("\u{c9}t\u{e9}", "e\u{301}TE\u{301}"),
            ("\u{1ebe}", "e\u{302}\u{301}"),
            ("\u{1ead}", "a\u{302}\u{323}"),
            ("\u{1ead}", "\u{e2}\u{323}"),
            ("\u{3a3}\u{3ac}\u{3c2}", "\u{3c3}\u{3b1}\u{301}\u{3c3}"),
            ("\u{419}", "\u{438}\u{306}"),
            ("\u{401}\u{416}", "\u{451}\u{436}"),
            ("\u{30ac}", "\u{30ab}\u{3099}"),
            ("\u{d55c}\u{ae00}", "\u{1112}\u{1161}\u{11ab}\u{1100}\u{1173}\u{11af}"),
            ("\u{212a}\u{212b}", "ka\u{30a}"),
            ("\u{17d}\u{139}\u{1cd}", "z\u{30c}l\u{301}a\u{30c}"),
            ("\u{ff21}", "\u{ff41}"),
            ("a. .", "A"),
        ] {
            assert_eq!(form(one), form(other), "{one} {other}");
        }
        for (one, other) in
            [("\u{e9}", "e"), ("\u{e9}", "\u{e8}"), ("\u{df}", "ss"), (".a", "a"), ("a b", "ab")]
        {
            assert_ne!(form(one), form(other), "{one} {other}");
        }
        let form = |name: &[u8]| self::form(&fold, name, false);
        assert_eq!(form(b"A\x94"), form(b"a\x94"));
        assert_ne!(form(b"A\x94"), form(b"a\x95"));
    }

    #[test]
    fn accents_have_one_form_where_cases_matter() {
        let fold = Fold::new();
        let form = |name: &str| form(&fold, name.as_bytes(), true);
        for (one, other) in [
            ("\u{c9}t\u{e9}", "E\u{301}te\u{301}"),
            ("\u{1ebe}x", "E\u{302}\u{301}x"),
            ("\u{419}", "\u{418}\u{306}"),
            ("\u{212b}\u{2126}", "A\u{30a}\u{3a9}"),
            ("\u{d55c}", "\u{1112}\u{1161}\u{11ab}"),
        ] {
            assert_eq!(form(one), form(other), "{one} {other}");
        }
        for (one, other) in [("A", "a"), ("\u{c9}", "\u{e9}"), ("\u{c9}", "e\u{301}"), ("a.", "a")]
        {
            assert_ne!(form(one), form(other), "{one} {other}");
        }
    }

    #[test]
    fn the_table_has_one_base_for_each_letter() {
        let fold = Fold::new();
        assert_eq!(fold.0.len(), 346);
        assert!(fold.0.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(fold.0.iter().all(|(_, [base, mark])| !is_mark(*base) && is_mark(*mark)));
    }

    /// The folding agrees with the standard library, wherever that has one other letter.
    #[test]
    fn cases_are_those_of_unicode() {
        for c in ('\u{41}'..='\u{24f}')
            .chain('\u{386}'..='\u{3ce}')
            .chain('\u{400}'..='\u{556}')
            .chain('\u{1e00}'..='\u{1eff}')
        {
            let mut theirs = c.to_lowercase();
            let theirs = (theirs.next(), theirs.next());
            let rare = matches!(c, 'İ' | 'µ' | '\u{3a2}' | 'ſ' | 'ς' | 'ẞ' | '\u{180}'..='\u{1cc}' | '\u{1f1}'..='\u{1f7}' | '\u{220}' | '\u{23a}'..='\u{24f}' | 'ϴ');
            if !rare {
                assert_eq!((Some(lower(c)), None), theirs, "{c} {:x}", u32::from(c));
            }
        }
    }
}
