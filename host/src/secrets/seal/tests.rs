//! Keys from every source, and what sealing promises.

use std::os::unix::fs::PermissionsExt;

use super::*;

const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1B1C1D1E1F";
const BASE64: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn sealer(key: &str) -> Sealer {
    Sealer::new(&MasterKey::load(Some(&Secret::from(key.to_owned())), Path::new("/nowhere")).unwrap())
}

#[test]
fn hex_and_base64_name_the_same_key() {
    let sealed = sealer(HEX).seal("place", b"value");
    assert_eq!(*sealer(BASE64).open("place", &sealed).unwrap(), b"value");
    assert_eq!(*sealer(&format!(" {HEX}\n")).open("place", &sealed).unwrap(), b"value");
}

#[test]
fn a_malformed_value_is_refused_and_not_repeated() {
    for bad in ["", "hunter2", &HEX[1..], &HEX.replace('0', "+"), &BASE64[4..], &"é".repeat(32)] {
        let error = MasterKey::load(Some(&Secret::from(bad.to_owned())), Path::new("/nowhere")).unwrap_err();
        assert!(matches!(error, KeyError::MalformedValue), "{bad:?}");
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}

#[test]
fn the_key_file_is_made_once_for_its_owner_only() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("data/master.key");
    let sealed = Sealer::new(&MasterKey::load(None, &file).unwrap()).seal("place", b"value");
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(file.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
    assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1, "the unfinished file is gone");
    let again = Sealer::new(&MasterKey::load(None, &file).unwrap());
    assert_eq!(*again.open("place", &sealed).unwrap(), b"value");
}

#[test]
fn hosts_that_start_together_get_one_key() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("master.key");
    let keys: Vec<MasterKey> = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..8).map(|_| scope.spawn(|| MasterKey::load(None, &file).unwrap())).collect();
        starts.into_iter().map(|start| start.join().unwrap()).collect()
    });
    assert!(keys.iter().all(|key| *key.0 == *keys[0].0));
}

#[test]
fn a_bad_key_file_is_refused_with_its_remedy() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("master.key");
    for bad in ["", "c2hvcnQ=\n", &HEX[2..]] {
        fs::write(&file, bad).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let error = MasterKey::load(None, &file).unwrap_err();
        assert!(matches!(error, KeyError::MalformedFile(_)), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), bad, "the file is left alone");
    }
    fs::write(&file, HEX).unwrap();
    for mode in [0o640, 0o604, 0o620] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let error = MasterKey::load(None, &file).unwrap_err();
        assert!(matches!(error, KeyError::Exposed { mode: found, .. } if found == mode), "{error}");
        assert!(error.to_string().contains("chmod 600"));
    }
    let below_a_file = MasterKey::load(None, &file.join("master.key")).unwrap_err();
    assert!(matches!(below_a_file, KeyError::Io { .. }), "{below_a_file}");
}

#[test]
fn a_sealed_value_opens_only_in_its_place_and_whole() {
    let sealer = sealer(HEX);
    let sealed = sealer.seal("app/a/secret/ONE", b"value");
    assert_eq!(*sealer.open("app/a/secret/ONE", &sealed).unwrap(), b"value");
    assert_eq!(sealer.open("app/b/secret/ONE", &sealed), Err(OpenError));
    for position in 0..sealed.len() {
        let mut damaged = sealed.clone();
        damaged[position] ^= 1;
        assert_eq!(sealer.open("app/a/secret/ONE", &damaged), Err(OpenError), "byte {position}");
        assert_eq!(sealer.open("app/a/secret/ONE", &sealed[..position]), Err(OpenError), "cut at {position}");
    }
    assert_eq!(*sealer.open("empty", &sealer.seal("empty", b"")).unwrap(), b"");
}

#[test]
fn another_master_key_opens_nothing() {
    let sealed = sealer(HEX).seal("place", b"value");
    assert_eq!(sealer(&"ab".repeat(32)).open("place", &sealed), Err(OpenError));
}

#[test]
fn sealing_twice_gives_different_bytes() {
    let sealer = sealer(HEX);
    assert_ne!(sealer.seal("place", b"value"), sealer.seal("place", b"value"));
}

#[test]
fn artifact_tags_bind_every_part_and_the_key() {
    let stranger = sealer(&"ab".repeat(32));
    let sealer = sealer(HEX);
    let tag = sealer.artifact_tag(&[b"ab", b"c"]);
    assert!(sealer.verify_artifact_tag(&[b"ab", b"c"], &tag));
    assert!(!sealer.verify_artifact_tag(&[b"a", b"bc"], &tag));
    assert!(!sealer.verify_artifact_tag(&[b"abc"], &tag));
    assert!(!sealer.verify_artifact_tag(&[b"ab", b"d"], &tag));
    assert!(!stranger.verify_artifact_tag(&[b"ab", b"c"], &tag));
    let mut damaged = tag;
    damaged[31] ^= 1;
    assert!(!sealer.verify_artifact_tag(&[b"ab", b"c"], &damaged));
}
