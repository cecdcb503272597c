//! The table of faulty files in `faults.txt`, each with exactly the faults that it gives.
//!
//! A case begins with `## ` and says what is faulty; the file follows, and then one line after
//! `=> ` for each fault: line, place, what is wrong and how to mend it.

use super::faults_of;

const TABLE: &str = include_str!("faults.txt");

/// What stands for a secret in the table.
const SECRETS: [&str; 3] = ["hunter2", "hunter3", "271828182845"];

#[test]
fn every_faulty_file_gives_exactly_its_faults() {
    let mut cases = 0;
    for case in TABLE.split("## ").skip(1) {
        let (name, rest) = case.split_once('\n').expect("a name");
        let (file, wanted) = rest.split_once("=> ").expect("at least one fault");
        let wanted: Vec<&str> = wanted.trim_end().split("\n=> ").collect();
        let found = faults_of(file);
        assert_eq!(found, wanted, "{name}");
        for secret in SECRETS {
            assert!(found.iter().all(|fault| !fault.contains(secret)), "{name} shows a secret");
        }
        cases += 1;
    }
    assert!(cases >= 200, "{cases}");
}
