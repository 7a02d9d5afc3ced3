use super::*;
use crate::actions::SCHEMA;

impl Entity for Value {
    fn member(&self, name: &str) -> Cow<'_, Value> {
        self.get(name).map_or(Cow::Owned(Value::Null), Cow::Borrowed)
    }

    fn whole(&self) -> Value {
        self.clone()
    }
}

fn items() -> Vec<Value> {
    let item = |id: u8, kind: &str, status: &str, machine: Value, who: &str, day: u8| {
        json!({
            "id": format!("0000000{id}-7557-4ab7-9782-d50480024a4e"),
            "type": kind, "status": status, "machineId": machine, "requestor": who,
            "creationDateTimeUtc": format!("2026-01-{day:02}T12:00:00.5Z"), "commands": [],
        })
    };
    vec![
        item(1, "CollectInvestigationPackage", "Pending", "aa".into(), "O'Hara", 1),
        item(2, "CollectInvestigationPackage", "InProgress", "bb".into(), "app", 2),
        item(3, "Isolate", "Succeeded", "aa".into(), "app (Contoso)", 3),
        item(4, "CollectInvestigationPackage", "Succeeded", Value::Null, "app", 4),
    ]
}

fn ask(query: &str) -> Result<Value, Value> {
    let reply = list(&SCHEMA, items().into_iter(), query, "http://h/api/machineactions", 10_000);
    reply.map(|page| page.body).map_err(|r| serde_json::from_slice(&r.body).unwrap())
}

/// The first digits of the ids found.
fn found(query: &str) -> String {
    let body = ask(query).unwrap_or_else(|e| panic!("{query}: {e}"));
    let list = body["value"].as_array().unwrap();
    list.iter().map(|a| a["id"].as_str().unwrap()[7..8].to_owned()).collect()
}

fn filtered(filter: &str) -> String {
    found(&format!("$filter={}", filter.replace('+', "%2B")))
}

#[test]
fn filters_select_what_they_say() {
    for (filter, expected) in [
        ("type eq 'CollectInvestigationPackage'", "124"),
        ("status ne 'Succeeded'", "12"),
        ("machineId eq 'aa' and type eq 'CollectInvestigationPackage'", "1"),
        (
            "machineId eq 'aa' and type eq 'CollectInvestigationPackage' and (status eq 'Pending' \
             or status eq 'InProgress')",
            "1",
        ),
        ("status eq 'Pending' or status eq 'InProgress' and machineId eq 'aa'", "1"),
        ("(status eq 'Pending' or status eq 'InProgress') AND machineId eq 'bb'", "2"),
        ("not status eq 'Succeeded'", "12"),
        ("NOT (status eq 'Succeeded' or machineId eq 'bb')", "1"),
        ("requestor eq 'O''Hara'", "1"),
        ("startswith(requestor,'app')", "234"),
        ("StartsWith(requestor, 'app (') and status eq 'Succeeded'", "3"),
        ("machineId in ('aa','bb')", "123"),
        ("status in ('Pending')", "1"),
        ("id eq 00000002-7557-4AB7-9782-d50480024a4e", "2"),
        ("id eq '00000002-7557-4ab7-9782-d50480024a4e'", "2"),
        ("creationDateTimeUtc gt 2026-01-02T12:00:00.5Z", "34"),
        ("creationDateTimeUtc ge 2026-01-02T12:00:00.5000000Z", "234"),
        ("creationDateTimeUtc lt 2026-01-02", "1"),
        ("creationDateTimeUtc le 2026-01-02T13:00:00.5+01:00", "12"),
        ("machineId eq null", "4"),
        ("machineId ne null", "123"),
        ("machineId ne 'aa'", "24"),
        ("requestor gt 'app'", "3"),
    ] {
        assert_eq!(filtered(filter), expected, "{filter}");
    }
}

#[test]
fn malformed_filters_are_refused() {
    for filter in [
        "",
        "status",
        "status eq",
        "status eq Pending",
        "status eq 'Nonsense'",
        "status equals 'Pending'",
        "Status eq 'Pending'",
        "color eq 'red'",
        "title eq 'x'",
        "requestor eq 'O'Hara'",
        "requestor eq 'open",
        "(status eq 'Pending'",
        "status eq 'Pending')",
        "status eq 'Pending' and",
        "status in 'Pending'",
        "status in ()",
        "id eq 'aa'",
        "creationDateTimeUtc gt '2026-01-02'",
        "creationDateTimeUtc gt yesterday",
        "substringof('a',requestor)",
        "startswith(status,'P')",
        "status eq 'Pending' # x",
    ] {
        let error = ask(&format!("$filter={}", filter.replace('#', "%23"))).unwrap_err();
        assert_eq!(error["error"]["code"], "ODataError", "{filter}");
        let message = error["error"]["message"].as_str().unwrap();
        assert!(message.starts_with("The query specified in the URI is not valid. "), "{message}");
    }
    let deep = format!("$filter={}status eq 'Pending'{}", "(".repeat(5000), ")".repeat(5000));
    assert_eq!(ask(&deep).unwrap_err()["error"]["code"], "ODataError");
}

#[test]
fn lists_are_sorted_and_cut() {
    assert_eq!(found("$orderby=creationDateTimeUtc desc"), "4321");
    assert_eq!(found("$orderby=type asc,creationDateTimeUtc desc&$top=2"), "42");
    assert_eq!(found("$orderby=status"), "1234");
    assert_eq!(found("$orderby=machineId,id%20desc"), "4312");
    assert_eq!(found("$skip=1&$top=2"), "23");
    assert_eq!(found("$top=0"), "");
    assert_eq!(found("%24skip=9"), "");
    let body = ask("$count=true&$top=1&$filter=machineId+eq+'aa'").unwrap();
    assert_eq!(body["@odata.count"], 2);
    assert_eq!(body["value"].as_array().unwrap().len(), 1);
    assert!(body.get("@odata.nextLink").is_none());
    let body = ask("$select=id,status&$top=1").unwrap();
    assert!(body["@odata.context"].as_str().unwrap().ends_with("#MachineActions(id,status)"));
    assert_eq!(body["value"][0].as_object().unwrap().len(), 2);
}

#[test]
fn wrong_options_are_refused() {
    for query in [
        "$top=10001",
        "$top=-1",
        "$top=x",
        "$skip=-1",
        "$count=maybe",
        "$select=color",
        "$orderby=color",
        "$orderby=id sideways",
        "$orderby=commands",
    ] {
        assert_eq!(ask(query).unwrap_err()["error"]["code"], "ODataError", "{query}");
    }
    assert!(ask("$top=10000").is_ok());
    assert!(ask("other=1").is_ok());
    let error = ask("$stop=1").unwrap_err();
    let expected = json!({"error": {
        "code": "",
        "message": "The query specified in the URI is not valid. Custom query option '$stop' that \
                    starts with '$' is not supported.",
        "details": [],
    }});
    assert_eq!(error, expected);
}

#[test]
fn pages_follow_one_another() {
    let mut query = "$filter=type ne 'Isolate'&$top=3".to_owned();
    let mut seen = String::new();
    for _ in 0..10 {
        let body = list(&SCHEMA, items().into_iter(), &query, "http://h/x", 2).ok().unwrap().body;
        let list = body["value"].as_array().unwrap();
        assert!(list.len() <= 2);
        seen.extend(list.iter().map(|a| a["id"].as_str().unwrap()[7..8].to_owned()));
        let Some(link) = body.get("@odata.nextLink") else {
            break;
        };
        query = link.as_str().unwrap().strip_prefix("http://h/x?").unwrap().to_owned();
    }
    assert_eq!(seen, "124");
}
