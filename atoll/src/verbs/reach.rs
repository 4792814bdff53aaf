//! How a verb finds the world it speaks to: the endpoints it was given, or those of a local world's data directory.

use std::{fs, path::Path};

use anyhow::Context;
use model::{RegionName, Subject};
use pki::AdminToken;
use plane_client::{ClientError, Credentials, Endpoint, PlaneClient};

use crate::{
    cli::WorldArgs,
    exit::{Misuse, Unreachable},
    region::config::RegionConfig,
};

/// A world within reach.
pub(crate) struct Reach {
    /// Asks any member; rotates when one is away.
    pub(crate) client: PlaneClient,
}

/// Finds the world of these arguments.
pub(crate) async fn reach(args: &WorldArgs) -> anyhow::Result<Reach> {
    let (endpoints, ca, token_file) = if args.endpoint.is_empty() {
        let configs = local_regions(&args.data)?;
        let endpoints = configs.iter().map(|c| Endpoint::region(c.region.clone(), c.listen.admin)).collect();
        let ca = args.ca.clone().unwrap_or_else(|| args.data.join("pki/ca.pem"));
        let token_file = args.token_file.clone().unwrap_or_else(|| args.data.join("admin.token"));
        (endpoints, ca, token_file)
    } else {
        let endpoints: Result<Vec<Endpoint>, String> = args.endpoint.iter().map(|text| text.parse()).collect();
        let endpoints = endpoints.map_err(Misuse)?;
        let missing = |what: &str| Misuse(format!("--endpoint needs {what}: write it, or set it in the environment"));
        let ca = args.ca.clone().ok_or_else(|| missing("--ca"))?;
        let token_file = args.token_file.clone().ok_or_else(|| missing("--token-file"))?;
        (endpoints, ca, token_file)
    };
    let credentials = Credentials::Token { ca, token: AdminToken::load(&token_file)? };
    let mut client = PlaneClient::new(endpoints, &credentials)?;
    if !args.endpoint.is_empty() {
        // Given by address: which region is it? A local world's configurations name theirs.
        client.learn_names().await;
    }
    Ok(Reach { client })
}

/// The configurations of all regions of a local world.
pub(crate) fn local_regions(data: &Path) -> anyhow::Result<Vec<RegionConfig>> {
    let dir = data.join("regions");
    let entries = fs::read_dir(&dir).map_err(|_| {
        Unreachable(format!(
            "there is no world in {}; start one with `atoll up`, or name one with --data or --endpoint",
            data.display()
        ))
    })?;
    let mut configs = Vec::new();
    for entry in entries {
        let file = entry.with_context(|| format!("cannot read {}", dir.display()))?.path().join("region.toml");
        if file.exists() {
            configs.push(RegionConfig::read(&file)?);
        }
    }
    configs.sort_by_key(|config| config.listen.admin);
    Ok(configs)
}

/// A client's error as people see it: no answer is another matter than a refusal.
pub(crate) fn explain_error(error: ClientError) -> anyhow::Error {
    match error {
        ClientError::Unreachable { .. } | ClientError::Timeout { .. } => Unreachable(error.to_string()).into(),
        other => other.into(),
    }
}

/// A subject as typed: a region's name, or `pool/NAME/REGION`.
pub(crate) fn subject(text: &str) -> anyhow::Result<Subject> {
    let read = match text.contains('/') {
        true => text.parse(),
        false => text.parse().map(Subject::Region),
    };
    read.map_err(|error| Misuse(error.to_string()).into())
}

/// Who is at the keyboard.
pub(crate) fn login() -> String {
    ["SUDO_USER", "USER", "LOGNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok())
        .unwrap_or_else(|| "someone".into())
}

/// A region's name as typed.
pub(crate) fn region_name(text: &str) -> anyhow::Result<RegionName> {
    RegionName::new(text).map_err(|error| Misuse(error.to_string()).into())
}
