//! How the simulator says no: with the real exchange's statuses, codes and words.

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) code: i64,
    pub(super) message: String,
}

fn refuse(status: u16, code: i64, message: impl Into<String>) -> Refusal {
    Refusal { status, code, message: message.into() }
}

impl Refusal {
    pub(super) fn too_many_requests(limit: u32) -> Self {
        refuse(429, -1003, format!("Too many requests; current limit is {limit} requests per minute."))
    }
    pub(super) fn banned(until_ms: i64) -> Self {
        refuse(
            418,
            -1003,
            format!(
                "Way too many requests; IP(127.0.0.1) banned until {until_ms}. Please use the websocket for live updates to avoid bans."
            ),
        )
    }
    pub(super) fn too_many_orders(limit: u32, interval: &str) -> Self {
        refuse(429, -1015, format!("Too many new orders; current limit is {limit} orders per {interval}."))
    }
    pub(super) fn time_in_force() -> Self {
        refuse(400, -1115, "Invalid timeInForce.")
    }
    pub(super) fn interval() -> Self {
        refuse(400, -1120, "Invalid interval.")
    }
    pub(super) fn price_match() -> Self {
        refuse(400, -5037, "Invalid price match: this simulator places orders at the price that they name.")
    }
    pub(super) fn good_till_date() -> Self {
        refuse(
            400,
            -5040,
            "The goodTillDate timestamp must be greater than the current time plus 600 seconds and smaller than 253402300799000.",
        )
    }
    pub(super) fn listen_key() -> Self {
        refuse(400, -1125, "This listenKey does not exist.")
    }
    pub(super) fn would_trigger() -> Self {
        refuse(400, -2021, "Order would immediately trigger.")
    }
    pub(super) fn too_many_open_orders() -> Self {
        refuse(400, -2025, "Reach max open order limit.")
    }
    pub(super) fn position_too_large() -> Self {
        refuse(400, -2027, "Exceeded the maximum allowable position at current leverage.")
    }
    pub(super) fn price_too_small() -> Self {
        refuse(400, -4001, "Price less than 0.")
    }
    pub(super) fn price_above_max() -> Self {
        refuse(400, -4002, "Price greater than max price.")
    }
    pub(super) fn trigger_too_small() -> Self {
        refuse(400, -4006, "Stop price less than zero.")
    }
    pub(super) fn trigger_above_max() -> Self {
        refuse(400, -4007, "Stop price greater than max price.")
    }
    pub(super) fn price_too_high() -> Self {
        refuse(400, -4016, "Price is higher than mark price multiplier cap.")
    }
    pub(super) fn depth_limit(limit: &str) -> Self {
        refuse(400, -4021, format!("{limit} is not valid depth limit."))
    }
    pub(super) fn price_too_low() -> Self {
        refuse(400, -4024, "Price is lower than mark price multiplier floor.")
    }
    pub(super) fn leverage() -> Self {
        refuse(400, -4028, "Leverage is not valid.")
    }
    pub(super) fn too_many_conditionals() -> Self {
        refuse(400, -4045, "Reach max stop order limit.")
    }
    pub(super) fn margin_type_unchanged() -> Self {
        refuse(400, -4046, "No need to change margin type.")
    }
    pub(super) fn margin_type_with_orders() -> Self {
        refuse(400, -4047, "Margin type cannot be changed if there exists open orders.")
    }
    pub(super) fn margin_type_with_positions() -> Self {
        refuse(400, -4048, "Margin type cannot be changed if there exists position.")
    }
    pub(super) fn batch_size() -> Self {
        refuse(400, -4082, "Invalid number of batch place orders.")
    }
    pub(super) fn closing_twice() -> Self {
        refuse(400, -4130, "An open stop or take profit order with GTE and closePosition in the direction is existing.")
    }
    pub(super) fn closing_with_limit(order_type: &str) -> Self {
        refuse(400, -4136, format!("Target strategy invalid for orderType '{order_type}', closePosition 'true'."))
    }
    pub(super) fn closing_with_quantity() -> Self {
        refuse(400, -4137, "Quantity must be zero with closePosition equals true.")
    }
    pub(super) fn closed() -> Self {
        refuse(400, -4141, "Symbol is closed.")
    }
    pub(super) fn leverage_of_isolated() -> Self {
        refuse(400, -4161, "Leverage reduction is not supported in Isolated Margin Mode with open positions.")
    }
    pub(super) fn no_multi_assets() -> Self {
        refuse(400, -4169, "Unable to adjust Multi-Assets Mode: this simulator has single-asset mode alone.")
    }
    pub(super) fn multi_assets_unchanged() -> Self {
        refuse(400, -4171, "Adjusted asset mode is currently set and does not need to be adjusted repeatedly.")
    }
    pub(super) fn not_reduce_only() -> Self {
        refuse(400, -5047, "The original order is not a reduce-only order.")
    }
    pub(super) fn nothing_to_protect() -> Self {
        refuse(
            400,
            -4509,
            "Time in Force (TIF) GTE can only be used with open positions. Please ensure that positions are available.",
        )
    }
    pub(super) fn cannot_fill() -> Self {
        refuse(
            400,
            -5021,
            "Due to the order could not be filled immediately, the FOK order has been rejected. The order will not be recorded in the order history.",
        )
    }
    pub(super) fn would_take() -> Self {
        refuse(
            400,
            -5022,
            "Due to the order could not be executed as maker, the Post Only order will be rejected. The order will not be recorded in the order history.",
        )
    }
    pub(super) fn nothing_to_amend() -> Self {
        refuse(400, -5027, "No need to modify the order.")
    }
    pub(super) fn timestamp() -> Self {
        refuse(400, -1021, "Timestamp for this request is outside of the recvWindow.")
    }
    pub(super) fn signature() -> Self {
        refuse(400, -1022, "Signature for this request is not valid.")
    }
    pub(super) fn repeated() -> Self {
        refuse(400, -1101, "Duplicate values for a parameter detected.")
    }
    pub(super) fn receive_window() -> Self {
        refuse(400, -1131, "recvWindow must be less than 60000.")
    }
    pub(super) fn missing(name: &str) -> Self {
        refuse(400, -1102, format!("Mandatory parameter '{name}' was not sent, was empty/null, or malformed."))
    }
    pub(super) fn not_required(name: &str) -> Self {
        refuse(400, -1106, format!("Parameter '{name}' sent when not required."))
    }
    pub(super) fn precision() -> Self {
        refuse(400, -1111, "Precision is over the maximum defined for this asset.")
    }
    pub(super) fn order_type() -> Self {
        refuse(400, -1116, "Invalid orderType.")
    }
    pub(super) fn side() -> Self {
        refuse(400, -1117, "Invalid side.")
    }
    pub(super) fn symbol() -> Self {
        refuse(400, -1121, "Invalid symbol.")
    }
    pub(super) fn window_too_long() -> Self {
        refuse(400, -1127, "Lookup interval is too big. More than 7 days between startTime and endTime.")
    }
    pub(super) fn combination() -> Self {
        refuse(400, -1128, "Combination of optional parameters invalid.")
    }
    pub(super) fn invalid(name: &str) -> Self {
        refuse(400, -1130, format!("Data sent for parameter '{name}' is not valid."))
    }
    pub(super) fn unknown_order_to_cancel() -> Self {
        refuse(400, -2011, "Unknown order sent.")
    }
    pub(super) fn no_such_order() -> Self {
        refuse(400, -2013, "Order does not exist.")
    }
    pub(super) fn key_format() -> Self {
        refuse(401, -2014, "API-key format invalid.")
    }
    pub(super) fn key() -> Self {
        refuse(401, -2015, "Invalid API-key, IP, or permissions for action.")
    }
    pub(super) fn margin() -> Self {
        refuse(400, -2019, "Margin is insufficient.")
    }
    pub(super) fn reduce_only() -> Self {
        refuse(400, -2022, "ReduceOnly Order is rejected.")
    }
    pub(super) fn reduce_only_margin() -> Self {
        refuse(400, -4118, "ReduceOnly Order Failed. Please check your existing position and open orders")
    }
    pub(super) fn quantity_too_small() -> Self {
        refuse(400, -4003, "Quantity less than or equal to zero.")
    }
    pub(super) fn quantity_too_large() -> Self {
        refuse(400, -4005, "Quantity greater than max quantity.")
    }
    pub(super) fn tick_size() -> Self {
        refuse(400, -4014, "Price not increased by tick size.")
    }
    pub(super) fn client_order_id() -> Self {
        refuse(400, -4015, "Client order id is not valid.")
    }
    pub(super) fn mode_unchanged() -> Self {
        refuse(400, -4059, "No need to change position side.")
    }
    pub(super) fn position_side() -> Self {
        refuse(400, -4061, "Order's position side does not match user's setting.")
    }
    pub(super) fn mode_with_orders() -> Self {
        refuse(400, -4067, "Position side cannot be changed if there exists open orders.")
    }
    pub(super) fn mode_with_positions() -> Self {
        refuse(400, -4068, "Position side cannot be changed if there exists position.")
    }
    pub(super) fn duplicate_client_order_id() -> Self {
        refuse(400, -4116, "ClientOrderId is duplicated.")
    }
    pub(super) fn algo_endpoint() -> Self {
        refuse(
            400,
            -4120,
            "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead.",
        )
    }
    pub(super) fn notional() -> Self {
        refuse(400, -4164, "Order's notional must be no smaller than 5.0 (unless you choose reduce only).")
    }
    pub(super) fn no_such_path(method: &str, path: &str) -> Self {
        refuse(404, -5000, format!("Path {path}, Method {method} is invalid"))
    }
    pub(super) fn margin_amount() -> Self {
        refuse(400, -4051, "Isolated balance insufficient.")
    }
    pub(super) fn no_isolated_position() -> Self {
        refuse(400, -4054, "Cannot add position margin: position is 0.")
    }
}
