//! The program of the README.

use cloudnestle_marketplace::MarketplaceSdk;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sdk = MarketplaceSdk::from_env()?;
    let token = std::env::args().nth(1).ok_or("usage: ten_lines TOKEN")?;
    let user = sdk.validate_user(&token).await?;
    println!("{} is a {:?} customer", user.customer_id, user.tier);
    sdk.track_usage(&token, "search").await?;
    sdk.close(std::time::Duration::from_secs(2)).await;
    Ok(())
}
