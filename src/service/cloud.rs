//! The clouds of the service: sign-in host, API host and token scope of each.
//!
//! Sources: "Supported Microsoft Defender for Endpoint APIs" (regional hosts), "Microsoft Defender for
//! Endpoint for US Government customers" (GCC, GCC High, DoD), and "Create an app to access Microsoft
//! Defender for Endpoint without a user" (scope).

/// One row of the table.
#[derive(Debug)]
pub(crate) struct Cloud {
    /// The value of option `cloud`.
    pub name: &'static str,
    pub api_url: &'static str,
    pub login_url: &'static str,
    pub scope: &'static str,
    /// Clouds of one family share their quota: the regional hosts are endpoints of one service. This is the expected
    /// result of [`family`].
    #[cfg(test)]
    pub family: &'static str,
}

const LOGIN: &str = "https://login.microsoftonline.com";
const LOGIN_US: &str = "https://login.microsoftonline.us";

/// The commercial scope keeps the older host name for every API host: some APIs answer 403 to any other audience.
const SCOPE: &str = "https://api.securitycenter.microsoft.com/.default";
const SCOPE_GCC: &str = "https://api-gcc.securitycenter.microsoft.us/.default";
const SCOPE_GOV: &str = "https://api-gov.securitycenter.microsoft.us/.default";

const fn commercial(name: &'static str, api_url: &'static str) -> Cloud {
    Cloud {
        name,
        api_url,
        login_url: LOGIN,
        scope: SCOPE,
        #[cfg(test)]
        family: "commercial",
    }
}

pub(crate) const CLOUDS: &[Cloud] = &[
    commercial("commercial", "https://api.security.microsoft.com"),
    commercial("us", "https://us.api.security.microsoft.com"),
    commercial("eu", "https://eu.api.security.microsoft.com"),
    commercial("uk", "https://uk.api.security.microsoft.com"),
    commercial("au", "https://au.api.security.microsoft.com"),
    commercial("swa", "https://swa.api.security.microsoft.com"),
    commercial("ina", "https://ina.api.security.microsoft.com"),
    commercial("aea", "https://aea.api.security.microsoft.com"),
    Cloud {
        name: "gcc",
        api_url: "https://api-gcc.securitycenter.microsoft.us",
        login_url: LOGIN,
        scope: SCOPE_GCC,
        #[cfg(test)]
        family: "gcc",
    },
    Cloud {
        name: "gcc_high",
        api_url: "https://api-gov.securitycenter.microsoft.us",
        login_url: LOGIN_US,
        scope: SCOPE_GOV,
        #[cfg(test)]
        family: "gov",
    },
    Cloud {
        name: "dod",
        api_url: "https://api-gov.securitycenter.microsoft.us",
        login_url: LOGIN_US,
        scope: SCOPE_GOV,
        #[cfg(test)]
        family: "gov",
    },
];

/// The cloud with this name.
pub(crate) fn by_name(name: &str) -> Option<&'static Cloud> {
    CLOUDS.iter().find(|cloud| cloud.name == name)
}

/// The quota family of an API host: the family of its cloud, or the host itself if it is unknown.
pub(crate) fn family(authority: &str) -> String {
    let host = authority;
    if host == "api-gcc.securitycenter.microsoft.us" {
        "gcc".to_owned()
    } else if host == "api-gov.securitycenter.microsoft.us" {
        "gov".to_owned()
    } else if host.ends_with("api.security.microsoft.com")
        || host.ends_with(".securitycenter.microsoft.com")
        || host.ends_with(".securitycenter.windows.com")
    {
        "commercial".to_owned()
    } else {
        authority.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::url::BaseUrl;

    #[test]
    fn the_family_of_each_cloud_follows_from_its_host() {
        for cloud in CLOUDS {
            let url = BaseUrl::parse(cloud.api_url).unwrap();
            assert_eq!(family(url.authority()), cloud.family, "{}", cloud.name);
        }
        assert_eq!(family("api-us3.securitycenter.microsoft.com"), "commercial");
        assert_eq!(family("127.0.0.1:8080"), "127.0.0.1:8080");
    }
}
