//! The tables, as Diesel sees them. A test compares this with the migrated database.

diesel::table! {
    accounts (account_id) {
        account_id -> Text,
        venue -> Text,
        base_url -> Nullable<Text>,
        alias -> Nullable<Text>,
        user_id -> Nullable<Text>,
        position_mode -> Nullable<Text>,
        created_local_ms -> BigInt,
    }
}

diesel::table! {
    anchors (account_id, symbol, position_side, ts) {
        account_id -> Text,
        symbol -> Text,
        position_side -> Text,
        ts -> BigInt,
        qty -> Text,
        entry_price -> Nullable<Text>,
        derivation -> Text,
        known_until_ts -> Nullable<BigInt>,
        known_fill_count -> Nullable<BigInt>,
        withdrawn -> Nullable<Text>,
        source -> Text,
        field_sources -> Nullable<Text>,
        conflicts -> Nullable<Text>,
    }
}

diesel::table! {
    balance_snapshots (account_id, asset, ts) {
        account_id -> Text,
        asset -> Text,
        ts -> BigInt,
        wallet -> Text,
        source -> Text,
        field_sources -> Nullable<Text>,
        conflicts -> Nullable<Text>,
    }
}

diesel::table! {
    cancels (id) {
        id -> BigInt,
        account_id -> Text,
        symbol -> Text,
        order_class -> Text,
        order_id -> Text,
        side -> Nullable<Text>,
        ts -> BigInt,
        ts_precision -> Text,
        reason -> Nullable<Text>,
        source -> Text,
        field_sources -> Nullable<Text>,
        conflicts -> Nullable<Text>,
    }
}

diesel::table! {
    coverage (account_id, stream, symbol, grade, since_ts) {
        account_id -> Text,
        stream -> Text,
        symbol -> Text,
        grade -> Text,
        since_ts -> BigInt,
        until_ts -> BigInt,
    }
}

diesel::table! {
    discrepancies (id) {
        id -> BigInt,
        account_id -> Text,
        symbol -> Nullable<Text>,
        kind -> Text,
        fingerprint -> Text,
        status -> Text,
        evidence_json -> Text,
        first_seen_local_ms -> BigInt,
        last_seen_local_ms -> BigInt,
        resolved_local_ms -> Nullable<BigInt>,
        run_id -> Nullable<BigInt>,
    }
}

diesel::table! {
    engine_signals (id) {
        id -> BigInt,
        account_id -> Text,
        signal_id -> Text,
        ts -> BigInt,
        ts_precision -> Text,
        skew_ms -> Nullable<BigInt>,
        symbol -> Text,
        side -> Text,
        kind -> Text,
        engine -> Nullable<Text>,
        reason -> Nullable<Text>,
        skipped -> Nullable<Text>,
        meta_json -> Nullable<Text>,
        restored -> Bool,
        source -> Text,
        field_sources -> Nullable<Text>,
        conflicts -> Nullable<Text>,
    }
}

diesel::table! {
    fact_sources (account_id, kind, fact_key, source, hash) {
        account_id -> Text,
        kind -> Text,
        fact_key -> Text,
        source -> Text,
        hash -> Binary,
        payload -> Text,
        recorded_local_ms -> BigInt,
        run_id -> Nullable<BigInt>,
    }
}

diesel::table! {
    fills (account_id, symbol, fill_id, side) {
        account_id -> Text,
        symbol -> Text,
        fill_id -> Text,
        side -> Text,
        order_id -> Nullable<Text>,
        ts -> BigInt,
        ts_precision -> Text,
        price -> Text,
        qty -> Text,
        position_side -> Nullable<Text>,
        fee -> Nullable<Text>,
        fee_asset -> Nullable<Text>,
        maker -> Nullable<Bool>,
        exchange_realized_pnl -> Nullable<Text>,
        sequence -> Nullable<BigInt>,
        source -> Text,
        field_sources -> Nullable<Text>,
        conflicts -> Nullable<Text>,
    }
}

diesel::table! {
    fold_checkpoints (account_id, symbol, fills_seen) {
        account_id -> Text,
        symbol -> Text,
        fills_seen -> BigInt,
        is_head -> Bool,
        ts_max -> BigInt,
        fold_key -> Text,
        fold_version -> BigInt,
        state -> Text,
    }
}

diesel::table! {
    funding_rates (account_id, symbol, ts) {
        account_id -> Text,
        symbol -> Text,
        ts -> BigInt,
        rate -> Text,
        mark_price -> Nullable<Text>,
        source -> Text,
        field_sources -> Nullable<Text>,
        conflicts -> Nullable<Text>,
    }
}

diesel::table! {
    income (account_id, income_type, tran_id, symbol, asset) {
        account_id -> Text,
        income_type -> Text,
        tran_id -> Text,
        symbol -> Text,
        asset -> Text,
        amount -> Text,
        ts -> BigInt,
        ts_precision -> Text,
        fill_id -> Nullable<Text>,
        info -> Nullable<Text>,
        source -> Text,
        field_sources -> Nullable<Text>,
        conflicts -> Nullable<Text>,
    }
}

diesel::table! {
    instruments (account_id, symbol) {
        account_id -> Text,
        symbol -> Text,
        kind -> Text,
        multiplier -> Text,
        settle_asset -> Text,
        tick_size -> Nullable<Text>,
        step_size -> Nullable<Text>,
        liquidation_fee -> Nullable<Text>,
        terms_ts -> Nullable<BigInt>,
        source -> Text,
        field_sources -> Nullable<Text>,
        conflicts -> Nullable<Text>,
    }
}

diesel::table! {
    leases (account_id) {
        account_id -> Text,
        number -> BigInt,
        holder -> Text,
        taken_local_ms -> BigInt,
        renewed_local_ms -> BigInt,
        until_local_ms -> BigInt,
        ended_local_ms -> Nullable<BigInt>,
        state_json -> Nullable<Text>,
        lock_file -> Nullable<BigInt>,
    }
}

diesel::table! {
    ledger_fees (account_id, symbol, fill_no) {
        account_id -> Text,
        symbol -> Text,
        fill_no -> BigInt,
        fill_id -> Text,
        side -> Text,
        stated_fee -> Nullable<Text>,
        stated_fee_asset -> Nullable<Text>,
        fee -> Text,
        fee_asset -> Text,
    }
}

diesel::table! {
    looks (account_id, stream) {
        account_id -> Text,
        stream -> Text,
        outcome -> Text,
        began_local_ms -> BigInt,
        ended_local_ms -> BigInt,
        began_ts -> Nullable<BigInt>,
        ended_ts -> Nullable<BigInt>,
        succeeded_local_ms -> Nullable<BigInt>,
        seen_ts -> Nullable<BigInt>,
        seen_json -> Nullable<Text>,
        failed_local_ms -> Nullable<BigInt>,
        failure -> Nullable<Text>,
        failure_reason -> Nullable<Text>,
    }
}

diesel::table! {
    messages (id) {
        id -> BigInt,
        account_id -> Text,
        channel -> Text,
        key -> Text,
        kind -> Text,
        is_urgent -> Bool,
        text -> Text,
        body_json -> Text,
        made_local_ms -> BigInt,
        attempts -> BigInt,
        next_try_local_ms -> Nullable<BigInt>,
        sent_local_ms -> Nullable<BigInt>,
        gave_up_local_ms -> Nullable<BigInt>,
        last_error -> Nullable<Text>,
    }
}

diesel::table! {
    one_way_spans (account_id, since_ts) {
        account_id -> Text,
        since_ts -> BigInt,
        until_ts -> Nullable<BigInt>,
    }
}

diesel::table! {
    order_intents (account_id, client_order_id) {
        account_id -> Text,
        client_order_id -> Text,
        symbol -> Text,
        order_class -> Text,
        side -> Text,
        position_side -> Nullable<Text>,
        role -> Text,
        dca_step -> BigInt,
        attempt -> BigInt,
        order_type -> Text,
        qty -> Nullable<Text>,
        price -> Nullable<Text>,
        trigger_price -> Nullable<Text>,
        reduce_only -> Bool,
        signal_id -> Nullable<Text>,
        engine -> Nullable<Text>,
        created_local_ms -> BigInt,
        outcome -> Text,
        source -> Text,
        field_sources -> Nullable<Text>,
        conflicts -> Nullable<Text>,
    }
}

diesel::table! {
    orders (account_id, symbol, order_class, order_id) {
        account_id -> Text,
        symbol -> Text,
        order_class -> Text,
        order_id -> Text,
        client_order_id -> Nullable<Text>,
        side -> Text,
        position_side -> Nullable<Text>,
        order_type -> Nullable<Text>,
        time_in_force -> Nullable<Text>,
        status -> Text,
        terms_ts -> Nullable<BigInt>,
        qty -> Nullable<Text>,
        price -> Nullable<Text>,
        trigger_price -> Nullable<Text>,
        executed_qty -> Nullable<Text>,
        avg_price -> Nullable<Text>,
        reduce_only -> Nullable<Bool>,
        close_position -> Nullable<Bool>,
        ts -> Nullable<BigInt>,
        ts_precision -> Nullable<Text>,
        updated_ts -> Nullable<BigInt>,
        updated_ts_precision -> Nullable<Text>,
        triggered_order_id -> Nullable<Text>,
        origin -> Nullable<Text>,
        condition -> Nullable<Text>,
        engine -> Nullable<Text>,
        signal_id -> Nullable<Text>,
        exit_reason -> Nullable<Text>,
        source -> Text,
        field_sources -> Nullable<Text>,
        conflicts -> Nullable<Text>,
        filled_qty -> Nullable<Text>,
        filled_quote -> Nullable<Text>,
        residual_qty -> Nullable<Text>,
        fees_json -> Nullable<Text>,
        residual_fees_json -> Nullable<Text>,
    }
}

diesel::table! {
    pnl_mismatches (account_id, symbol, fill_no) {
        account_id -> Text,
        symbol -> Text,
        fill_no -> BigInt,
        fill_id -> Text,
        side -> Text,
        ts -> BigInt,
        derived_pnl -> Nullable<Text>,
        exchange_pnl -> Nullable<Text>,
    }
}

diesel::table! {
    position_modes (account_id, ts) {
        account_id -> Text,
        ts -> BigInt,
        mode -> Text,
        source -> Text,
        field_sources -> Nullable<Text>,
        conflicts -> Nullable<Text>,
    }
}

diesel::table! {
    position_snapshots (account_id, symbol, position_side, ts) {
        account_id -> Text,
        symbol -> Text,
        position_side -> Text,
        ts -> BigInt,
        qty -> Text,
        entry_price -> Nullable<Text>,
        source -> Text,
        field_sources -> Nullable<Text>,
        conflicts -> Nullable<Text>,
    }
}

diesel::table! {
    positions (id) {
        id -> BigInt,
        account_id -> Text,
        symbol -> Text,
        position_side -> Text,
        ts -> Nullable<BigInt>,
        side -> Text,
        qty -> Text,
        avg_entry -> Nullable<Text>,
        unreal_pnl -> Nullable<Text>,
        realized_pnl -> Nullable<Text>,
        certainty -> Text,
        settle_asset -> Text,
        mark_price -> Nullable<Text>,
        mark_ts -> Nullable<BigInt>,
        exchange_qty -> Nullable<Text>,
        exchange_entry -> Nullable<Text>,
        exchange_ts -> Nullable<BigInt>,
        reconcile_status -> Nullable<Text>,
        source -> Text,
        detail_json -> Text,
    }
}

diesel::table! {
    price_snapshots (account_id, symbol, kind, ts) {
        account_id -> Text,
        symbol -> Text,
        kind -> Text,
        ts -> BigInt,
        price -> Text,
        source -> Text,
        field_sources -> Nullable<Text>,
        conflicts -> Nullable<Text>,
    }
}

diesel::table! {
    proofs (account_id, stream, symbol, since_ts) {
        account_id -> Text,
        stream -> Text,
        symbol -> Text,
        since_ts -> BigInt,
        until_ts -> BigInt,
        row_count -> BigInt,
        digest -> BigInt,
    }
}

diesel::table! {
    quarantine (account_id, symbol) {
        account_id -> Text,
        symbol -> Text,
        reason -> Text,
        fold_version -> BigInt,
    }
}

diesel::table! {
    refold_marks (account_id, symbol) {
        account_id -> Text,
        symbol -> Text,
        from_start -> Bool,
        from_key -> Nullable<Text>,
        from_ts -> Nullable<BigInt>,
    }
}

diesel::table! {
    repairs (id) {
        id -> BigInt,
        account_id -> Text,
        symbol -> Nullable<Text>,
        run_id -> BigInt,
        at_local_ms -> BigInt,
        kind -> Text,
        discrepancy_id -> Nullable<BigInt>,
        cause -> Text,
        evidence_json -> Text,
        before_json -> Nullable<Text>,
        after_json -> Nullable<Text>,
    }
}

diesel::table! {
    round_trips (account_id, symbol, trip_no) {
        account_id -> Text,
        symbol -> Text,
        trip_no -> BigInt,
        trip_key -> Text,
        position_side -> Text,
        direction -> Text,
        opened_ts -> Nullable<BigInt>,
        closed_ts -> Nullable<BigInt>,
        qty_max -> Text,
        avg_entry -> Nullable<Text>,
        avg_exit -> Nullable<Text>,
        gross -> Nullable<Text>,
        settle_asset -> Text,
        engine -> Nullable<Text>,
        exit_reason -> Text,
        certainty -> Text,
        detail_json -> Text,
        awaits_signal -> Bool,
    }
}

diesel::table! {
    runs (id) {
        id -> BigInt,
        account_id -> Text,
        kind -> Text,
        started_local_ms -> BigInt,
        ended_local_ms -> Nullable<BigInt>,
        status -> Text,
        detail_json -> Nullable<Text>,
    }
}

diesel::table! {
    symbol_books (account_id, symbol) {
        account_id -> Text,
        symbol -> Text,
        settle_asset -> Text,
        fill_count -> BigInt,
        unplaced_count -> BigInt,
        closed_count -> BigInt,
        pnl_unreported_count -> BigInt,
        pnl_unknown_count -> BigInt,
        unallocated_funding_json -> Text,
        unallocated_clearance_json -> Text,
        unallocated_realized_json -> Text,
        is_conserved -> Bool,
        fold_version -> BigInt,
    }
}

diesel::table! {
    sync_cursors (account_id, stream, symbol) {
        account_id -> Text,
        stream -> Text,
        symbol -> Text,
        position -> Text,
        updated_local_ms -> BigInt,
    }
}

diesel::table! {
    telling (account_id) {
        account_id -> Text,
        state_json -> Text,
    }
}

diesel::table! {
    unpriced_fees (account_id, minute_ts, symbol, asset) {
        account_id -> Text,
        minute_ts -> BigInt,
        symbol -> Text,
        asset -> Text,
    }
}
