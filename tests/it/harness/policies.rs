//! Policies that many tests share: one tool API with a tool of each risk, and one workflow of the
//! medium tier that reaches them all.

/// The tool API `shop`, mounted at `/shop`.
pub fn shop(upstream: &str) -> String {
    format!(
        r"api: shop
upstream: {upstream}
route: /shop
timeout: 3s
tools:
  - {{ tool: look, match: 'GET /look/{{id}}', risk: read }}
  - {{ tool: note, match: POST /note, risk: low, subject: args.order }}
  - {{ tool: change, match: POST /change, risk: medium, subject: args.order }}
  - {{ tool: pay, match: POST /pay, risk: high, subject: args.order }}
  - {{ tool: put, match: 'PUT /put/{{id}}', risk: medium, idempotent: true }}
"
    )
}

/// The workflow `desk`: medium risk, with further keys at its end.
pub fn desk(more: &str) -> String {
    format!(
        "workflow: desk\nrisk: medium\ntools: [shop/look, shop/note, shop/change, shop/pay, shop/put]\n{more}"
    )
}

/// A process configuration with people and agents. Everybody's token is their name with `-token`
/// behind it.
pub fn people(agents: &[(&str, &[&str])], reviewers: &[(&str, &str)]) -> String {
    let token = |name: &str| super::sha256(format!("{name}-token"));
    let mut text = String::new();
    if !agents.is_empty() {
        text.push_str("agents:\n");
    }
    for (agent, workflows) in agents {
        text.push_str(&format!(
            "  - {{ agent: {agent}, workflows: [{}], token_sha256: {} }}\n",
            workflows.join(", "),
            token(agent)
        ));
    }
    if !reviewers.is_empty() {
        text.push_str("reviewers:\n");
    }
    for (person, role) in reviewers {
        text.push_str(&format!(
            "  - {{ name: {person}, role: {role}, token_sha256: {} }}\n",
            token(person)
        ));
    }
    text
}
