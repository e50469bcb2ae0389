use super::*;
use crate::card::content::fixtures::{NPZ_STORED_PLAIN, TORCH_ZIP, ZIP_IMAGES, bytes};
use crate::card::content::{Examination, Pieces, Verdict, examine};

fn listed(bytes: &[u8]) -> Result<Vec<String>, String> {
    let mut pieces = Pieces::default();
    pieces.insert(0, bytes);
    let mut names = Vec::new();
    let view = View::of_file(&pieces, bytes.len() as u64);
    match members(&view, |member| {
        names.push(member.name);
        None::<()>
    }) {
        Ok(_) => Ok(names),
        Err(Stop::Flaw(why)) => Err(why),
        Err(need) => panic!("{need:?}"),
    }
}

/// Positions of the directory and of the end record.
fn parts(zip: &[u8]) -> (usize, usize) {
    let end = zip.len() - 22;
    (le(zip, end + 16, 4) as usize, end)
}

/// As a zip with ZIP64 records between directory and end.
fn with_64(zip: &[u8], change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let (start, end) = parts(zip);
    let mut record = b"PK\x06\x06\x2c\0\0\0\0\0\0\0\x2d\0\x2d\0\0\0\0\0\0\0\0\0".to_vec();
    let count = le(zip, end + 10, 2);
    for number in [count, count, (end - start) as u64, start as u64] {
        record.extend(number.to_le_bytes());
    }
    record.extend(b"PK\x06\x07\0\0\0\0");
    record.extend((end as u64).to_le_bytes());
    record.extend(1u32.to_le_bytes());
    let mut last = zip[end..].to_vec();
    last[8..20].fill(0xff);
    record.extend(last);
    change(&mut record);
    [&zip[..end], &record].concat()
}

#[test]
fn names_are_listed_with_and_without_zip64() {
    let zip = bytes(TORCH_ZIP);
    let names = ["archive/data.pkl", "archive/version", "archive/data/0"];
    assert_eq!(listed(&zip).unwrap(), names);
    assert_eq!(listed(&with_64(&zip, |_| ())).unwrap(), names);
    assert_eq!(listed(b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0").unwrap(), [""; 0]);
    let mut commented = zip.clone();
    let at = commented.len() - 2;
    commented[at] = 3;
    commented.extend(b"abc");
    assert_eq!(listed(&commented).unwrap(), names);
}

#[test]
fn a_zip_that_contradicts_itself_is_not_listed() {
    let zip = bytes(ZIP_IMAGES);
    let (start, end) = parts(&zip);
    let edit = |at: usize, byte: u8| {
        let mut zip = zip.clone();
        zip[at] = byte;
        listed(&zip).unwrap_err()
    };
    assert!(listed(&[b"junk", &zip[..]].concat()).is_err());
    assert!(listed(&[&zip[..], b"junk"].concat()).is_err());
    assert!(listed(&[&zip[..], &zip[end..]].concat()).unwrap_err().contains("several"));
    assert!(listed(&zip[..end]).unwrap_err().contains("no end"));
    assert!(edit(end + 20, 1).contains("comment"));
    assert!(edit(end + 10, 9).contains("parts") || edit(end + 10, 9).contains("several"));
    assert!(edit(end + 12, 9).contains("before or behind"));
    assert!(edit(end + 16, 9).contains("before or behind"));
    assert!(edit(end + 4, 1).contains("several"));
    assert!(edit(start, 0).contains("broken"));
    assert!(edit(start + 28, 0xff).contains("broken"));
    assert!(edit(start + 8, 1).contains("encrypted"));
    assert!(edit(start + 23, 0xff).contains("outside") || edit(start + 23, 0xff).contains("entry"));
    assert!(edit(start + 45, 0xff).contains("outside"));
    assert!(edit(start + 46, 0).contains("cut short"));
    assert!(edit(start + 42, 1).contains("before its first"));
    let mut counted = zip.clone();
    counted[end + 8] = 9;
    counted[end + 10] = 9;
    assert!(listed(&counted).unwrap_err().contains("says 9"));
    for at in [0, 4, 24, 40, 48, 56 + 8] {
        let wrong = with_64(&zip, |record| record[at] ^= 1);
        assert!(listed(&wrong).is_err(), "{at}");
    }
    let two = with_64(&zip, |record| record[76 + 12..76 + 16].fill(1));
    assert!(listed(&two).unwrap_err().contains("two zip directories"));
    let too_many = with_64(&zip, |record| {
        record[24..32].fill(0x7f);
        record[32..40].fill(0x7f);
    });
    assert!(listed(&too_many).unwrap_err().contains("more zip entries"));
}

#[test]
fn a_second_name_is_seen_too() {
    let mut zip = bytes(ZIP_IMAGES);
    let (start, end) = parts(&zip);
    let name_len = le(&zip, start + 28, 2) as usize;
    let extra = b"\x75\x70\x0a\0\x01\0\0\0\0x.pkl";
    zip[start + 30] = extra.len() as u8;
    zip[end + 12] += extra.len() as u8;
    let at = start + 46 + name_len;
    zip.splice(at..at, *extra);
    assert_eq!(listed(&zip).unwrap(), ["img/1.jpg", "x.pkl", "img/labels.csv"]);
}

#[test]
fn only_the_ends_of_a_large_zip_are_read() {
    let zip = bytes(TORCH_ZIP);
    let size = 10u64 << 30;
    let (start, _) = parts(&zip);
    // As if a tensor of 10 GiB lay before the directory.
    let mut tail = with_64(&zip, |_| ())[start..].to_vec();
    let len = tail.len() as u64;
    let records = tail.len() - 22 - 76;
    let directory = size - len;
    tail[records + 48..records + 56].copy_from_slice(&directory.to_le_bytes());
    let end = size - 22 - 76;
    tail[records + 56 + 8..records + 56 + 16].copy_from_slice(&end.to_le_bytes());
    let mut pieces = Pieces::default();
    let mut asked = Vec::new();
    let finding = loop {
        match examine("pytorch_model.bin", size, &pieces) {
            Examination::Done(finding) => break finding,
            Examination::Needs(range) => {
                let mut bytes = vec![0; (range.end - range.start) as usize];
                if range.start == 0 {
                    bytes[..start].copy_from_slice(&zip[..start]);
                } else {
                    let at = bytes.len() - tail.len();
                    bytes[at..].copy_from_slice(&tail);
                }
                asked.push(range.end - range.start);
                pieces.insert(range.start, &bytes);
            }
        }
    };
    let Verdict::Code { why, .. } = finding.verdict else { panic!("{finding:?}") };
    assert!(why.contains("archive/data.pkl"), "{why}");
    assert_eq!(asked, [1 << 20, 22 + 65_535 + 76]);
}

#[test]
fn an_array_whose_own_header_differs_from_the_directory_is_code() {
    let zip = bytes(NPZ_STORED_PLAIN);
    for at in [0, 8, 30] {
        let mut zip = zip.clone();
        zip[at] ^= 1;
        let mut pieces = Pieces::default();
        pieces.insert(0, &zip);
        let Examination::Done(finding) = examine("x.npz", zip.len() as u64, &pieces) else {
            panic!()
        };
        assert!(matches!(finding.verdict, Verdict::Code { .. }), "{at}");
    }
}
