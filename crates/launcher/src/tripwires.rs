//! Tests and measurements that are about something else give the same few people as many passes as they like.

/// No limit and no alarm, by the names of their settings; a test of the tripwires sets those that it is about.
pub const NO_TRIPWIRES: [(&str, &str); 9] = [
    ("VELOCITY_PER_REQUESTER", "0"),
    ("VELOCITY_PER_SUBJECT", "0"),
    ("VELOCITY_PER_APPROVER", "0"),
    ("VELOCITY_PER_DESTINATION", "0"),
    ("VELOCITY_PER_TENANT", "0"),
    ("VELOCITY_PER_PLAYBOOK", "0"),
    ("PUSHES_PER_USER", "0"),
    ("ANOMALY_DENIALS", "0"),
    ("ANOMALY_REFUSALS", "0"),
];
